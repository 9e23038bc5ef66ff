"""Programs that use each store, say what has been acknowledged, and know what has to be there after that.

Started as a program with a folder and names of stores, it lets each work in `<folder>/<store>/disk`, in one process, and
appends a line to `<folder>/<store>/acked` each time a step has returned.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from sqlalchemy import insert, select

from treadle.core.clock import SystemClock
from treadle.core.errors import StoreUnavailable
from treadle.core.ids import digest_of_bytes
from treadle.data import ingest
from treadle.data.contracts import Column, Contract
from treadle.data.datasets import Dataset, Datasets
from treadle.data.sources.files import Files
from treadle.data.splits import HashSplit
from treadle.data.trees import Tree, Trees
from treadle.serving.entries import PredictionEntry
from treadle.serving.log import PredictionLog
from treadle.serving.predictions import Predictions
from treadle.serving.shipping import Shipper, unshipped
from treadle.store.files import flush_folder, replacing
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.folder_contents import FolderContents
from treadle.store.objects.objects import Objects
from treadle.store.online.backend import ORDER
from treadle.store.online.online import Online
from treadle.store.tables.tables import Tables

ROUNDS = 12
T = TypeVar("T")
# So that keys are looked up in an index, and every commit writes it.
ingest.INDEXED, ingest.WORTH_WRITING = 0, 1


def insist(work: Callable[..., T], *given: Any, **options: Any) -> T:
    """Do some work again for as long as the disk refuses it, as a person would who reads the error."""
    for _ in range(50):
        with suppress(StoreUnavailable, OSError):
            return work(*given, **options)
    return work(*given, **options)


class Writer(ABC):
    """A program in steps. A look at its store is a set of things; a step adds or removes some."""

    @abstractmethod
    def steps(self, root: Path) -> Iterator[Any]:
        """Work in a folder; yield what the caller is told whenever a step has returned."""

    @abstractmethod
    def states(self) -> list[set[Any]]:
        """Return what has to be there before the first step, and after each."""

    @abstractmethod
    def look(self, root: Path, told: list[Any]) -> set[Any]:
        """Return what is there, checked, in the eyes of a caller who was told this much."""

    @abstractmethod
    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        """Do the next step, or the last one again, and return what is there then."""


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


class TreesWriter(Writer):
    """A folder of files, committed again and again, and a collection in the end."""

    _TREE = Tree("photos", source="photos")

    def steps(self, root: Path) -> Iterator[Any]:
        with self._open(root) as trees:
            for number in range(4):
                self._change(root, number)
                insist(trees.add, self._TREE)
                yield number + 1
            insist(trees.collect, "photos", keep=[4], dry_run=False)
            yield 4

    def states(self) -> list[set[Any]]:
        versions = [self._files(number) for number in range(4)]
        return [set(), *(set(files.items()) for files in versions), set(versions[-1].items())]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        with self._open(root) as trees:
            if not trees.names():
                return set()
            found = {file.path: trees.read("photos", file.path) for file in trees.files("photos")}
            assert trees.verify("photos") == []
            return set(found.items())

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        number = min(len(told), 3)
        self._change(root, number)
        with self._open(root) as trees:
            trees.add(self._TREE)
        return self.look(root, told)

    def _files(self, number: int) -> dict[str, bytes]:
        return {
            "same": b"s" * 5_000,
            "changing": f"{number}".encode() * 6_000,
            f"new{number}": b"n" * (number * 4_000),
        }

    def _change(self, root: Path, number: int) -> None:
        photos = root.with_name("photos")
        photos.mkdir(exist_ok=True)
        wanted = self._files(number)
        for path in photos.iterdir():
            if path.name not in wanted:
                path.unlink()
        for name, content in wanted.items():
            path = photos / name
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)

    @contextmanager
    def _open(self, root: Path) -> Iterator[Trees]:
        with insist(Ledger.open, "sqlite:///ledger.db", root=root) as ledger:
            yield Trees(
                ledger=ledger,
                contents=FolderContents(root / "objects"),
                clock=SystemClock(),
                root=root.parent,
                state=root / "state",
            )


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

    def states(self) -> list[set[Any]]:
        sets = [set(self._rows(number).rows()) for number in range(1, ROUNDS + 1)]
        states = [set().union(*sets[:number]) for number in range(ROUNDS + 1)]
        return [*states[:9], states[8], *states[9:]]

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
        return self.look(root, told)

    def _rows(self, number: int) -> pl.DataFrame:
        return pl.DataFrame(
            {"id": range(50 * number, 50 * number + 50), "value": [f"{number}-{n}" * 20 for n in range(50)]}
        )


class LogWriter(Writer):
    """The prediction log of a server that answers when an entry is on the disk, and its way into the tables."""

    def steps(self, root: Path) -> Iterator[Any]:
        log = PredictionLog(root, server="s1", durability="sync")
        log.start()
        shipper = Shipper(root, Tables.open("tables", root=root, options={}))
        for number in range(ROUNDS):
            insist(self._commit, log, f"r{number}")
            yield f"r{number}"
            if number % 4 == 3:
                log.seal()
                insist(shipper.ship, "s1")
        log.close()
        yield insist(shipper.ship_leftovers)

    def states(self) -> list[set[Any]]:
        ids = [f"r{number}-0" for number in range(ROUNDS)]
        return [*(set(ids[:number]) for number in range(ROUNDS + 1)), set(ids)]

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        tables = Tables.open("tables", root=root, options={})
        with tables.reading("predictions/delay"):
            return set(Predictions(tables, root=root).scan("delay").collect()["prediction_id"])

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        tables = Tables.open("tables", root=root, options={})
        waits = unshipped(root, "predictions/delay")
        # An entry that was refused and sent again may be in the log twice, and then is shipped twice.
        most = Counter([] if waits is None else list(waits["prediction_id"])) | Counter(self._shipped(tables))
        Shipper(root, tables).ship_leftovers()
        assert Counter(self._shipped(tables)) <= most
        return self.look(root, told) & set(self._shipped(tables))

    def _shipped(self, tables: Tables) -> list[str]:
        there = tables.exists("predictions/delay")
        return list(tables.scan("predictions/delay").collect()["prediction_id"]) if there else []

    def _commit(self, log: PredictionLog, name: str) -> None:
        entry = PredictionEntry(
            request_id=name,
            endpoint="delay",
            revision=1,
            model="delay",
            version=1,
            variant="champion",
            assignment="only variant",
            subject=None,
            at=1_000_000,
            latency=0.002,
            inputs={"distance": [1400], "carrier": [name * 300]},
            keys=None,
            predictions=[1.0],
            probabilities=[0.25],
        )
        told, failures = threading.Event(), list[Any]()

        def done(failure: Any) -> None:
            failures.append(failure)
            told.set()

        log.commit(entry, done)
        assert told.wait(30)
        if failures[0]:
            raise failures[0]


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


class DatasetWriter(Writer):
    """A dataset with a contract, a quarantine, a split, corrections and an index of its keys."""

    class Row(Contract):
        """A row."""

        id: int
        changed: int
        n: int = Column(ge=0)

    _DATASET = Dataset(
        "d", source=Files("in/*.csv"), contract=Row, key="id", updated="changed", split=HashSplit()
    )
    #: Files that come one after another.
    _FILES = 5

    def steps(self, root: Path) -> Iterator[Any]:
        with self._open(root) as datasets:
            for number in range(self._FILES):
                insist(self._land, root, number)
                insist(datasets.ingest, self._DATASET)
                yield number + 1

    def states(self) -> list[set[Any]]:
        states, rows = [set[Any]()], dict[Any, Any]()
        for number in range(self._FILES):
            rows |= {row[0]: row for row in self._rows(number) if row[2] >= 0}
            bad = {("bad", row[0]) for row in self._rows(number) if row[2] < 0}
            states.append({*rows.values(), *bad, *(row for row in states[-1] if row[0] == "bad")})
        return states

    def look(self, root: Path, told: list[Any]) -> set[Any]:
        with self._open(root) as datasets:
            if "d" not in datasets.names():
                return set()
            rows = datasets.read("d", columns=["id", "changed", "n"]).rows()
            bad = {("bad", int(json.loads(row)["id"])) for row in datasets.quarantine("d")["_raw"]}
            assert datasets.version("d").rows == len(rows)
            return {*rows, *bad}

    def go_on(self, root: Path, told: list[Any]) -> set[Any]:
        for number in range(min(len(told) + 1, self._FILES)):
            self._land(root, number)
        with self._open(root) as datasets:
            datasets.ingest(self._DATASET)
        return self.look(root, told)

    def _rows(self, number: int) -> list[tuple[int, int, int]]:
        fresh = [(100 * number + n, 1, n - 2) for n in range(60)]
        return fresh + [(100 * (number - 1) + n, 2, 1_000 + number) for n in range(10, 20) if number]

    def _land(self, root: Path, number: int) -> None:
        lines = ["id,changed,n", *(",".join(map(str, row)) for row in self._rows(number))]
        with replacing(root / "in" / f"{number}.csv") as file:
            file.write("\n".join(lines).encode())

    @contextmanager
    def _open(self, root: Path) -> Iterator[Datasets]:
        with insist(Ledger.open, "sqlite:///ledger.db", root=root) as ledger:
            tables = Tables.open("tables", root=root, options={})
            yield Datasets(ledger=ledger, tables=tables, clock=SystemClock(), root=root)


WRITERS: dict[str, Writer] = {
    "objects": ObjectsWriter(),
    "trees": TreesWriter(),
    "online": OnlineWriter(),
    "table": TableWriter(),
    "delivery": DeliveryWriter(),
    "log": LogWriter(),
    "ledger": LedgerWriter(),
    "dataset": DatasetWriter(),
    "broken": BrokenObjectsWriter(),
}


def main(folder: Path, *names: str) -> None:
    """Let each of some writers do all its steps."""
    for name in names:
        (folder / name / "disk").mkdir(parents=True)
        told = os.open(folder / name / "acked", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        for each in WRITERS[name].steps(folder / name / "disk"):
            os.write(told, json.dumps(each).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
