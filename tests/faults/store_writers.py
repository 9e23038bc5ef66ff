"""Programs that use one store each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import insert, select
from writer import ROUNDS, Writer, insist

from treadle.core.ids import digest_of_bytes
from treadle.store.files import flush_folder
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.online.backend import ORDER
from treadle.store.online.online import Online
from treadle.store.queue.queue import Queue
from treadle.store.tables.tables import Tables


class ObjectsWriter(Writer):
    """Objects of many sizes; one is put twice, one comes from a file."""

    _CONTENTS = tuple(
        bytes([n]) * size for n, size in enumerate((0, 1, 511, 4096, 5000, 70_000, 4097, 12_288), 1)
    )

    def steps(self, root: Path) -> Iterator[Any]:
        objects = self._open(root)
        for content in self._CONTENTS:
            yield insist(objects.put, content)
        yield insist(objects.put, self._CONTENTS[4])
        elsewhere = root.with_name("file")
        elsewhere.write_bytes(b"f" * 9_000)
        yield insist(objects.put_file, elsewhere)

    def states(self) -> list[set[Any]]:
        digests = [digest_of_bytes(content) for content in (*self._CONTENTS, self._CONTENTS[4], b"f" * 9_000)]
        return [set(digests[:number]) for number in range(len(digests) + 1)]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        objects = self._open(root)
        return {digest for digest, size in objects.list() if len(objects.get(digest)) == size}

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        objects = self._open(root)
        for content in self._CONTENTS:
            objects.put(content)
        objects.put(b"f" * 9_000)
        return self.look(root, told)

    def _open(self, root: Path) -> Objects:
        return Objects.open("objects", root=root, options={})


class BrokenObjectsWriter(ObjectsWriter):
    """One that forgets to flush a file before it gives it its name."""

    def steps(self, root: Path) -> Iterator[Any]:
        for content in self._CONTENTS:
            digest = digest_of_bytes(content).removeprefix("sha256:")
            place = root / "objects" / "sha256" / digest[:2] / digest
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(".part-0123456789abcdef")
            part.write_bytes(content)
            part.rename(place)
            flush_folder(place.parent)
            yield digest


class OnlineWriter(Writer):
    """Values in the embedded online store: put, overwritten, removed, and moved to a fresh file."""

    _SPACE = b"treadle/shop/prices/"

    def steps(self, root: Path) -> Iterator[Any]:
        online = Online.open("online", root=root)
        yield insist(online.note, self._SPACE, b"head")
        for number in range(4):
            yield insist(online.put, self._SPACE, self._items(number), head=b"head")
        yield insist(online.delete, self._SPACE, [key for key, _ in self._items(0)], head=b"head")
        yield insist(online.tidy)
        yield insist(online.put, self._SPACE, self._items(4), head=b"head")
        online.close()

    def states(self) -> list[set[Any]]:
        head = {("head", b"head")}
        states, values = [set(), head], dict[bytes, bytes]()
        for number in range(4):
            values |= self._items(number)
            states.append(head | set(values.items()))
        for key, _ in self._items(0):
            del values[key]
        states += [head | set(values.items())] * 2
        values |= self._items(4)
        return [*states, head | set(values.items())]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        online = Online.open("online", root=root)
        state = online.state(self._SPACE)
        keys = [key for some in online.scan(self._SPACE) for key, _ in some]
        found = set(zip(keys, online.get(keys), strict=True))
        assert state is None or state.keys == len(found)
        online.close()
        return found | ({("head", state.head)} if state else set())

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        online = Online.open("online", root=root)
        online.note(self._SPACE, b"head")
        online.put(self._SPACE, self._items(9), head=b"head")
        online.tidy()
        assert online.get([key for key, _ in self._items(9)]) == [value for _, value in self._items(9)]
        online.delete(self._SPACE, [key for key, _ in self._items(9)], head=b"head")
        online.close()
        return self.look(root, told)

    def _items(self, number: int) -> list[tuple[bytes, bytes]]:
        keys = range(100 * number, 100 * number + 120)  # some overwrite those before
        return [(self._SPACE + b"%06d" % key, bytes([number]) * ORDER + b"v" * (60 + key)) for key in keys]


class TableWriter(Writer):
    """A table whose versions a ledger counts: rows are added, removed and joined, and what is old is given up."""

    def steps(self, root: Path) -> Iterator[Any]:
        tables, base = self._open(root), None
        for number in range(ROUNDS):
            base = insist(tables.append, "flights/rows", self._rows(number), base=base)
            yield base
        base = insist(tables.remove, "flights/rows", self._rows(3).select("id"), base=base)
        yield base
        base = insist(tables.compact, "flights/rows", base=base)
        yield base
        base = insist(tables.append, "flights/rows", self._rows(ROUNDS), base=base)
        yield base
        insist(tables.vacuum, "flights/rows", keep=[base], dry_run=False)
        yield base
        insist(tables.trim, "flights/rows", base=base, oldest=base)
        yield base

    def states(self) -> list[set[Any]]:
        sets = [set(self._rows(number).rows()) for number in range(ROUNDS + 1)]
        states = [set().union(*sets[:number]) for number in range(ROUNDS + 1)]
        less = states[-1] - sets[3]
        return [*states, less, less, *[less | sets[ROUNDS]] * 3]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        if not told:
            return set()
        with (tables := self._open(root)).reading("flights/rows"):
            rows = tables.scan("flights/rows", version=told[-1]).collect().rows()
        assert len(rows) == len(set(rows))
        return set(rows)

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        fresh = pl.DataFrame({"id": [-1], "value": ["fresh"]})
        tables = self._open(root)
        version = tables.append("flights/rows", fresh, base=told[-1] if told else None)
        found = self.look(root, [version])
        assert set(fresh.rows()) <= found
        version = tables.compact("flights/rows", base=version)
        tables.vacuum("flights/rows", keep=[version], dry_run=False)
        assert self.look(root, [version]) == found
        return found - set(fresh.rows())

    def _rows(self, number: int) -> pl.DataFrame:
        return pl.DataFrame(
            {"id": range(50 * number, 50 * number + 50), "value": [f"{number}-{n}" * 20 for n in range(50)]}
        )

    def _open(self, root: Path) -> Tables:
        return Tables.open("tables", root=root, options={})


class DeliveryWriter(Writer):
    """A table that two senders share and no ledger counts."""

    def steps(self, root: Path) -> Iterator[Any]:
        tables = Tables.open("tables", root=root, options={})
        for number in range(1, ROUNDS + 1):
            insist(tables.deliver, "log", self._rows(number), sender=f"s{number % 2}", number=number)
            yield number
            if number == 8:
                insist(tables.tidy, "log")
                yield number
                insist(tables.expire, "log", column="at", before=self._at(4))
                yield number

    def states(self) -> list[set[Any]]:
        sets = [set(self._rows(number).rows()) for number in range(1, ROUNDS + 1)]
        before = [set().union(*sets[:number]) for number in range(9)]
        after = [set().union(*sets[3:number]) for number in range(8, ROUNDS + 1)]
        return [*before, before[8], *after]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        tables = Tables.open("tables", root=root, options={})
        if not tables.exists("log"):
            return set()
        with tables.reading("log"):
            rows = tables.scan("log").collect().rows()
        assert len(rows) == len(set(rows))
        return set(rows)

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        tables = Tables.open("tables", root=root, options={})
        last = told[-1] if told else 0
        for number in range(
            max(last - 1, 1), min(last + 1, ROUNDS) + 1
        ):  # again too, as one who was never told
            tables.deliver("log", self._rows(number), sender=f"s{number % 2}", number=number)
        tables.tidy("log")
        if last >= 8:
            tables.expire("log", column="at", before=self._at(4))
        return self.look(root, told)

    def _rows(self, number: int) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "id": range(50 * number, 50 * number + 50),
                "value": [f"{number}-{n}" * 20 for n in range(50)],
                "at": [self._at(number)] * 50,
            }
        )

    def _at(self, number: int) -> datetime:
        return datetime(2013, 1, number, tzinfo=UTC)


class LedgerWriter(Writer):
    """Transactions of the ledger in a file, from the making of its tables on."""

    def steps(self, root: Path) -> Iterator[Any]:
        with insist(Ledger.open, "sqlite:///ledger.db", root=root) as ledger:
            yield None
            for number in range(ROUNDS):
                yield insist(self._write, ledger, number)

    def states(self) -> list[set[Any]]:
        return [set(), *(set(range(number)) for number in range(ROUNDS + 1))]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        with Ledger.open("sqlite:///ledger.db", root=root) as ledger:
            assert ledger.integrity() == "ok"
            with ledger.read() as connection:
                return set(connection.execute(select(t.dataset_versions.c.version)).scalars())

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        before = self.look(root, told)
        with Ledger.open("sqlite:///ledger.db", root=root) as ledger:
            self._write(ledger, 1_000)
        return self.look(root, told) & before

    def _write(self, ledger: Ledger, number: int) -> None:
        with ledger.write() as connection:
            connection.execute(
                insert(t.dataset_versions).values(
                    dataset="d", version=number, created_at=number, body=f"{number}" * 3_000
                )
            )


class QueueWriter(Writer):
    """Jobs in the embedded queue: put by ones and by tens, taken, acknowledged and parked."""

    def steps(self, root: Path) -> Iterator[Any]:
        queue = self._open(root)
        for number in range(ROUNDS):
            yield insist(queue.put, [(name, name.encode() * 300) for name in self._names(number)])
        for done in ("0-0", "1-0"):
            (message,) = insist(queue.take, 1)
            assert message.id == done
            yield insist(queue.acknowledge, message)
        (message,) = insist(queue.take, 1)
        yield insist(queue.park, message, "no sense")
        yield insist(queue.drop, [message.id])
        queue.close()

    def states(self) -> list[set[Any]]:
        names = [set(self._names(number)) for number in range(ROUNDS)]
        states = [set().union(*names[:number]) for number in range(ROUNDS + 1)]
        less = [states[-1] - {"0-0"}, states[-1] - {"0-0", "1-0"}]
        return [*states, *less, less[1], less[1] - {"1-1"}]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        queue = self._open(root)
        found = [(m.id, m.body) for m in queue.take(1_000)] + [(p.id, p.body) for p in queue.parked(1_000)]
        queue.close()
        assert len(found) == len(dict(found))
        assert all(body == name.encode() * 300 for name, body in found)
        return {name for name, _ in found}

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        queue = self._open(root)
        queue.put([("fresh", b"")])
        found = {message.id for message in queue.take(1_000)} | {one.id for one in queue.parked(1_000)}
        queue.close()
        assert "fresh" in found
        return found - {"fresh"}

    def _names(self, number: int) -> list[str]:
        return [f"{number}-{n}" for n in range(10 if number % 2 else 1)]

    def _open(self, root: Path) -> Queue:
        # Leases end at once, so that whoever looks sees everything.
        return Queue.open("queue", root=root, lease=0.0, crashes=1_000_000, timeout=5.0)
