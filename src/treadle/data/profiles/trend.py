"""Trends: how each column's missing share and mean move over event time, in the sampled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import polars as pl

from treadle.data.profiles.records import ColumnProfile, Coverage

_Values = tuple[float | None, ...]


def with_trends(
    columns: Sequence[ColumnProfile], sample: pl.DataFrame, *, time: str, coverage: Coverage
) -> tuple[ColumnProfile, ...]:
    """Return the columns with their trends by the stretches of `coverage`."""
    stretch = pl.col(time).dt.truncate(coverage.trend_every).alias("_start")
    wanted = []
    for place, column in enumerate(columns):
        wanted.append((pl.col(column.name).null_count() / pl.len()).alias(f"{place}:missing"))
        if (followed := _followed(column)) is not None:
            wanted.append(followed.cast(pl.Float64).alias(f"{place}:trend"))
    by_start = sample.group_by(stretch).agg(wanted)
    rows = {row["_start"]: row for row in by_start.iter_rows(named=True)}
    return tuple(
        msgspec.structs.replace(
            column,
            missing_trend=_along(rows, coverage.trend_starts, f"{place}:missing"),
            trend=_along(rows, coverage.trend_starts, f"{place}:trend")
            if _followed(column) is not None
            else (),
        )
        for place, column in enumerate(columns)
    )


def _followed(column: ColumnProfile) -> pl.Expr | None:
    """Return what of a column is followed over time: its mean, or the share of its commonest text."""
    if {"time", "key"}.intersection(column.roles):
        return None
    if column.kind in {"int", "float", "bool"}:
        return pl.col(column.name).mean()
    if column.kind == "str" and column.top and column.distinct <= 1_000:
        return (pl.col(column.name).cast(pl.String) == column.top[0][0]).mean()
    return None


def _along(
    rows: Mapping[datetime, Mapping[str, float | None]], starts: Sequence[datetime], label: str
) -> _Values:
    return tuple(rows[start][label] if start in rows else None for start in starts)
