"""Which rows a change is in: since when, and in which slice above all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

#: A column of at most so many different values divides rows into slices, each of at least this share of them.
_LEVELS, _SHARE = 40, 0.02
#: Columns and rows that are looked at.
_COLUMNS, _ROWS = 20, 200_000
#: Standard errors that a break in time, or a slice, must stand out by; they are picked from many.
_BREAK, _SLICE = 5.0, 6.0
#: How much more common moved rows must be in a slice than outside it.
_APART = 0.15


def located(
    column: str, moved: Mapping[str, Any], frame: pl.DataFrame, *, rows: pl.DataFrame, time: pl.Series | None
) -> tuple[datetime | None, str]:
    """Return since when rows are as a detector says has become commoner, and where above all.

    `frame` holds the column, `rows` the columns to slice by, row by row the same. The moment is the largest break in the
    running share (Page, 1954); None: there is none. The slice is as `origin=JFK`; empty: none stands out.
    """
    if not moved or column not in frame.columns:
        return None, ""
    hit = _hit(frame[column], moved)
    if hit.all() or not hit.any():
        return None, ""
    since = None if time is None else _since(hit, time)
    chosen = slice(0, _ROWS)
    return since, _slice(hit[chosen], rows[chosen].drop(column, strict=False))


def _hit(series: pl.Series, moved: Mapping[str, Any]) -> np.ndarray:
    kind, value = next(iter(moved.items()))
    if kind == "among":
        texts = series.cast(pl.String) if series.dtype != pl.String else series
        named = texts.is_in([one for one in value if one is not None]).fill_null(value=False)
        missing = _missing(series) if None in value else pl.repeat(value=False, n=len(series), eager=True)
        return (named | missing).to_numpy()
    numbers = series.cast(pl.Float64, strict=False)
    found = numbers <= value if kind == "at_most" else numbers > value if kind == "above" else numbers < value
    hit: np.ndarray = (found & numbers.is_not_nan()).fill_null(value=False).to_numpy()
    return hit


def _missing(series: pl.Series) -> pl.Series:
    found = series.is_null()
    if series.dtype.is_float():
        found = found | series.is_nan().fill_null(value=True)
    return found | (series == "").fill_null(value=True) if series.dtype == pl.String else found


def _since(hit: np.ndarray, time: pl.Series) -> datetime | None:
    order = time.arg_sort(nulls_last=False).to_numpy()
    ordered = hit[order].astype(np.float64)
    rows = len(ordered)
    before = np.arange(1, rows)
    running = np.cumsum(ordered)[:-1] - before * ordered.mean()
    spread = ordered.std() * np.sqrt(before * (rows - before) / rows)
    score = np.where(
        (before >= rows * 0.01) & (before <= rows * 0.99), running / np.maximum(spread, 1e-12), 0.0
    )
    place = int(np.argmin(score))  # fewer before than after
    if score[place] > -_BREAK:
        return None
    found = time[int(order[place + 1])]
    return found if isinstance(found, datetime) else None


def _slice(hit: np.ndarray, rows: pl.DataFrame) -> str:
    best, name = _SLICE, ""
    hits = pl.Series("hit", hit)
    for column in [name for name in rows.columns if _divides(rows[name])][:_COLUMNS]:
        counted = (
            pl.DataFrame([rows[column].cast(pl.String), hits])
            .group_by(column)
            .agg(pl.len().alias("rows"), pl.col("hit").sum().alias("hits"))
        )
        for value, size, found in counted.iter_rows():
            score = _stands_out(found, size, int(hit.sum()), len(hit))
            if value is not None and score > best:
                best, name = score, f"{column}={value}"
    return name


def _divides(series: pl.Series) -> bool:
    return (
        series.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) and 1 < series.n_unique() <= _LEVELS
    )


def _stands_out(hits: int, size: int, all_hits: int, rows: int) -> float:
    """Return by how many standard errors hits are commoner inside than outside; 0: not by enough to tell a person."""
    outside = rows - size
    if size < _SHARE * rows or not outside:
        return 0.0
    apart, share = hits / size - (all_hits - hits) / outside, all_hits / rows
    if apart < _APART:
        return 0.0
    return apart / math.sqrt(max(share * (1 - share), 1e-12) * (1 / size + 1 / outside))
