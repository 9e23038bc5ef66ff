"""Writes the rows of a commit to a dataset's tables; they count once the ledger names the tables' new versions."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from treadle.data.commits import Commit, table_name, with_system_columns
from treadle.data.declarations import Dataset
from treadle.data.history import SUFFIX, UNTIL
from treadle.store.tables.tables import Tables

#: Commits after which the small files of a table are joined, and the size that is aimed at.
COMPACT_EVERY = 32
SMALL_BYTES = 8 * 1024 * 1024
#: Commits after which those files are joined to large ones. So no row is rewritten more than twice.
COMPACT_ALL_EVERY = 32 * COMPACT_EVERY
LARGE_BYTES = 256 * 1024 * 1024


class Writer:
    """Writes to the tables of one dataset, under its lease."""

    def __init__(self, tables: Tables, commit: Commit) -> None:
        self._tables, self._commit = tables, commit

    def write(self, dataset: Dataset, *, number: int, at: datetime, written: int) -> None:
        """Write what a commit tells of each part, and its bad rows."""
        for part, told in self._commit.told.items():
            table = table_name(dataset.name, part)
            if told.replaced.height:
                self.move(table, told.replaced, by=dataset.key_columns, until=number)
            if not told.is_empty or (part == "rows" and self._commit.bases.get(table) is None):
                self.append(
                    table,
                    with_system_columns(told, dataset, part=part, number=number, at=at, written=written),
                )
        bad = self._commit.bad
        if bad.height:
            marks = (pl.lit(number, dtype=pl.Int64).alias("_version"), pl.lit(at).alias("_ingested_at"))
            self.append(table_name(dataset.name, "quarantine"), bad.with_columns(marks))

    def move(self, table: str, forms: pl.DataFrame, *, by: tuple[str, ...], until: int) -> None:
        """Move forms from the table of current ones to its history."""
        self.append(f"{table}{SUFFIX}", forms.with_columns(pl.lit(until, dtype=pl.Int64).alias(UNTIL)))
        self.remove(table, forms.select(by))

    def remove(self, table: str, keys: pl.DataFrame) -> None:
        """Remove the rows with some keys from a table."""
        base = self._commit.bases[table]
        assert base is not None
        self._commit.bases[table] = self._tables.remove(table, keys, base=base)

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Append rows, after joining small files and adding columns where it is time."""
        commit = self._commit
        base = commit.bases.get(table)
        if base is not None:
            if base - commit.compacted.get(table, 0) >= COMPACT_EVERY:
                before = commit.compacted.get(table, 0)
                below = (
                    SMALL_BYTES if before // COMPACT_ALL_EVERY == base // COMPACT_ALL_EVERY else LARGE_BYTES
                )
                base = commit.compacted[table] = self._tables.compact(table, base=base, below=below)
            there = commit.columns[table]
            fresh = {name: dtype for name, dtype in rows.schema.items() if name not in there}
            if fresh:
                base = self._tables.widen(table, fresh, base=base)
            missing = [pl.lit(None).alias(name) for name in there if name not in rows.columns]
            rows = rows.with_columns(missing).select(*there, *fresh)
            rows = self._typed(table, rows, missing=bool(missing), base=base)
        commit.columns[table] = tuple(rows.columns)
        commit.bases[table] = self._tables.append(table, rows, base=base)

    def _typed(self, table: str, rows: pl.DataFrame, *, missing: bool, base: int) -> pl.DataFrame:
        """Give columns that the rows lack (forms from before a column was added) the table's types."""
        if not missing:
            return rows
        kinds = self._tables.schema(table, version=base)
        return rows.cast({name: kinds[name] for name, dtype in rows.schema.items() if dtype == pl.Null})
