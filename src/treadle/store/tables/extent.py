"""How far a shared table goes, from the statistics of its files: nothing of its rows is read."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from deltalake import DeltaTable

from treadle.core.records import Record


class Extent(Record, frozen=True, kw_only=True):
    """A table at a version."""

    #: -1: there is no such table.
    version: int = -1
    rows: int = 0
    #: Rows that were written without the version of their commit.
    unstamped: int = 0
    #: The earliest moment; None: there are no rows, or nobody knows.
    first: datetime | None = None


def extent_of(table: DeltaTable | None, *, stamp: str, time: str) -> Extent:
    """Return the extent of a table whose rows hold the version of their commit in a column, and a moment in another."""
    if table is None:
        return Extent()
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    rows = int(files["num_records"].sum()) if files.height else 0
    missing = f"null_count.{stamp}"
    unstamped = rows
    if missing in files.columns:
        unstamped = int(files.select(pl.coalesce(missing, "num_records").sum()).item())
    first = files[f"min.{time}"].min() if f"min.{time}" in files.columns else None
    return Extent(
        version=table.version(),
        rows=rows,
        unstamped=unstamped,
        first=first if isinstance(first, datetime) else None,
    )
