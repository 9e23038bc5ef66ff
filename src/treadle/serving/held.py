"""A log at one moment, and which of its rows came after another moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from treadle.serving.frames import COMMIT
from treadle.serving.shipping import unshipped
from treadle.store.tables.extent import Extent
from treadle.store.tables.tables import Tables


@dataclass(frozen=True)
class Held:
    """Rows of a table at a version, and those that servers on this machine have not shipped yet.

    A row's `frames.COMMIT` is the version of the table with which it came, -1 where that is not known, and one more than the newest
    version where it still waits. The rows of a request that was sent twice are there twice.
    """

    extent: Extent
    rows: pl.LazyFrame
    #: Whether any rows wait.
    waits: bool

    @property
    def shipped(self) -> int:
        """The commit up to which rows are in the table."""
        return self.extent.version

    @property
    def newest(self) -> int:
        """The commit up to which there are rows at all."""
        return self.extent.version + 1 if self.waits else self.extent.version


def held(
    tables: Tables, root: Path, name: str, *, columns: Mapping[str, pl.DataType], before: Mapping[str, Any]
) -> Held:
    """Return a log as it is now; `before` is what nulls mean in rows from before there was a column."""
    local = unshipped(root, name)  # before the table: what is shipped between the two is in both then
    extent = tables.extent(name, stamp=COMMIT, time="at")
    frames = [pl.LazyFrame(schema={**columns, COMMIT: pl.Int64()})]
    if extent.version >= 0:
        frames.append(tables.scan(name, version=extent.version))
    if local is not None:
        frames.append(local.lazy().with_columns(pl.lit(extent.version + 1, pl.Int64).alias(COMMIT)))
    rows = pl.concat(frames, how="diagonal").with_columns(
        pl.col(COMMIT).fill_null(-1), *(pl.col(column).fill_null(value) for column, value in before.items())
    )
    return Held(extent=extent, rows=rows, waits=local is not None and local.height > 0)
