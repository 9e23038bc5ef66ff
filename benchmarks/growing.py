"""A dataset that grows by frames of a million rows, and a bare Delta table that does the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deltalake import write_deltalake

import treadle as td
from treadle.core.clock import SystemClock
from treadle.data.datasets import Datasets
from treadle.data.raw import Batch, Raw
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables


class Row(td.Contract):
    """Ten columns of the usual types."""

    id: int
    at: datetime
    a: float = td.Column(ge=0, le=1)
    b: float
    c: float
    d: float
    e: int = td.Column(ge=0)
    f: int
    g: str = td.Column(min_length=1)
    h: bool


COLUMNS = [column.name for column in Row.spec().columns]


def frame(number: int, rows: int) -> pl.DataFrame:
    """Make the rows of one append; keys never come twice."""
    random = np.random.default_rng(number)
    ids = np.arange(number * rows, (number + 1) * rows)
    return pl.DataFrame(
        {
            "id": ids,
            "at": pl.Series(ids * 1_000_000).cast(pl.Datetime("us", "UTC")),
            **{name: random.random(rows) for name in "abcd"},
            "e": random.integers(0, 100, rows),
            "f": random.integers(0, 10**6, rows),
            "g": pl.Series(random.integers(0, 500, rows)).cast(pl.String),
            "h": random.random(rows) < 0.5,
        }
    )


@dataclass
class Pushed:
    """A source that gives one frame at a time."""

    waiting: list[pl.DataFrame] = field(default_factory=list)

    @contextmanager
    def batches(
        self, root: Path, *, after: Mapping[str, Any] | None, key: Sequence[str]
    ) -> Iterator[Iterator[Batch]]:
        """Give the frames that have not been given."""
        first = after["next"] if after else 0
        yield (
            Batch(raw=Raw(file="pushed", frame=rows, form="typed"), position={"next": number + 1})
            for number, rows in enumerate(self.waiting[first:], start=first)
        )

    def spec(self) -> dict[str, Any]:
        """Return the declaration."""
        return {"source": "pushed"}


class Growing:
    """The two, side by side."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows, self.appended = folder, rows, 0
        self.source = Pushed()
        self.dataset = td.Dataset(
            "d", source=self.source, contract=Row, key="id", time="at", split=td.HashSplit()
        )
        self._ledger = Ledger.open("sqlite:///ledger.db", root=folder)
        tables = Tables.open("tables", root=folder, options={})
        self.datasets = Datasets(ledger=self._ledger, tables=tables, clock=SystemClock(), root=folder)
        self.bare = folder / "bare"
        self.next = frame(0, rows)
        self._took: set[str] = set()

    def append(self) -> None:
        """Append to the dataset what `next` holds."""
        self.source.waiting.append(self.next)
        made = self.datasets.ingest(self.dataset)
        assert made is not None
        assert made.accepted == self.rows

    def append_bare(self) -> None:
        """Append it to the bare table."""
        write_deltalake(self.bare, self.next, mode="append")

    def took(self, who: str) -> None:
        """Note that somebody appended; when both have, make the rows of the next round."""
        self._took.add(who)
        if len(self._took) == 2:
            self._took.clear()
            self.turn()

    def turn(self) -> None:
        """Make the rows of the next append."""
        self.appended += 1
        self.source.waiting = [pl.DataFrame()] * self.appended
        self.next = frame(self.appended, self.rows)

    def close(self) -> None:
        """Close the ledger, and remove both."""
        self._ledger.close()
        shutil.rmtree(self.folder, ignore_errors=True)
