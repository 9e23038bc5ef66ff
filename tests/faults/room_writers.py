"""Programs that use several stores together: files as data, the log of predictions, a dataset."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from writer import ROUNDS, Writer, insist

from treadle.core.clock import SystemClock
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
from treadle.store.files import replacing
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.folder_contents import FolderContents
from treadle.store.tables.tables import Tables


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
        with _indexed(), insist(Ledger.open, "sqlite:///ledger.db", root=root) as ledger:
            tables = Tables.open("tables", root=root, options={})
            yield Datasets(ledger=ledger, tables=tables, clock=SystemClock(), root=root)


@contextmanager
def _indexed() -> Iterator[None]:
    """Let keys be looked up in an index, which every commit writes."""
    before = ingest.INDEXED, ingest.WORTH_WRITING
    ingest.INDEXED = ingest.WORTH_WRITING = 0
    try:
        yield
    finally:
        ingest.INDEXED, ingest.WORTH_WRITING = before
