"""Rows in quarantine, read part by part, and how many there are for each reason."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from treadle.core.paging import USUAL, Paged
from treadle.core.records import Record
from treadle.data import state as stored
from treadle.data.commits import table_name
from treadle.data.datasets import Datasets
from treadle.store.ledger import paging
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

_ORDER = ["_version", "_part", "_file", "_row"]
_KINDS = (int, str, str, int)
_COLUMNS = [*_ORDER, "_reason", "_raw", "_ingested_at"]


class Quarantined(Record, frozen=True, kw_only=True):
    """One row that did not meet its contract."""

    #: The dataset version in which it was put aside, and its part: `rows` or `outcomes`.
    version: int
    part: str
    file: str
    row: int
    #: All reasons, and the row as it landed, as JSON text.
    reason: str
    raw: str
    at: datetime | None = None


class Reason(Record, frozen=True, kw_only=True):
    """A reason, and how many rows are in quarantine for it."""

    reason: str
    rows: int


class Quarantine:
    """What is in the quarantine of datasets.

    >>> quarantine.page("flights", limit=10).rows                            # doctest: +SKIP
    """

    def __init__(self, datasets: Datasets, tables: Tables, ledger: Ledger) -> None:
        self._datasets, self._tables, self._ledger = datasets, tables, ledger

    def ever(self, dataset: str) -> int:
        """Return how many rows of a dataset were put aside, over all its versions; 0: there is no such dataset."""
        with self._ledger.read() as connection:
            return stored.read_quarantined(connection, dataset)

    def waiting(self, dataset: str) -> int:
        """Return how many rows of a dataset are in quarantine now.

        Raises:
            NotFound: there is no such dataset.
        """
        rows = self._scan(dataset)
        if rows is None:
            return 0
        with self._tables.reading(table_name(dataset, "quarantine")):
            return int(rows.select(pl.len()).collect().item())

    def page(
        self, dataset: str, *, reason: str = "", after: str = "", limit: int = USUAL
    ) -> Paged[Quarantined]:
        """Return one part of a dataset's quarantine, in the order in which rows were put aside: all, or those with a text in their reasons.

        Raises:
            NotFound: there is no such dataset.
            InvalidInput: the key of the part is not understood.
        """
        paging.check_limit(limit)
        rows = self._scan(dataset)
        if rows is None:
            return Paged(rows=())
        if reason:
            rows = rows.filter(pl.col("_reason").str.contains(reason, literal=True))
        if after:
            rows = rows.filter(_behind(paging.read(after, _KINDS)))
        with self._tables.reading(table_name(dataset, "quarantine")):
            # The few rows are found by their places, and only their texts are read.
            places = rows.select(_ORDER).bottom_k(limit + 1, by=_ORDER).collect().sort(_ORDER)
            if places.is_empty():
                return Paged(rows=())
            there = rows.filter(~_behind(list(places.row(-1))))
            found = there.select(_COLUMNS).sort(_ORDER).head(limit + 1).collect()
        return paging.parted(found.rows(), limit, _record, lambda row: row[: len(_ORDER)])

    def reasons(self, dataset: str, *, most: int = 20) -> list[Reason]:
        """Return the reasons for which most rows are in a dataset's quarantine, with their numbers.

        Raises:
            NotFound: there is no such dataset.
        """
        rows = self._scan(dataset)
        if rows is None:
            return []
        with self._tables.reading(table_name(dataset, "quarantine")):
            counted = rows.group_by("_reason").len().sort("len", "_reason", descending=[True, False])
            found = counted.head(most).collect()
        return [Reason(reason=reason, rows=count) for reason, count in found.rows()]

    def _scan(self, dataset: str) -> pl.LazyFrame | None:
        last = self._datasets.version(dataset)
        if last.quarantine_table_version is None:
            return None
        return self._tables.scan(table_name(dataset, "quarantine"), version=last.quarantine_table_version)


def _behind(key: list[object]) -> pl.Expr:
    """Return the test for rows that come after a place in the order."""
    found = pl.lit(value=False)
    for name, value in zip(reversed(_ORDER), reversed(key), strict=True):
        found = (pl.col(name) > pl.lit(value)) | ((pl.col(name) == pl.lit(value)) & found)
    return found


def _record(row: tuple[object, ...]) -> Quarantined:
    names = ("version", "part", "file", "row", "reason", "raw", "at")
    return Quarantined(**dict(zip(names, row, strict=True)))  # type: ignore[arg-type] # columns of one row
