"""Summaries: how the values of a few columns are distributed, small enough to be kept with a version, and addable.

Numbers are kept as points: each stands for a group of neighbouring rows and is the greatest value of the group, so that the
cumulative share at a point is that of the rows. Text is kept as its commonest values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from treadle.core.records import Record

#: Most points of a column of numbers: a cumulative share is exact to twice its inverse.
POINTS = 256
#: Most values of a column of text.
TOP = 100
_LONGEST = 100
Floats = NDArray[np.float64]


class ColumnSummary(Record, frozen=True, kw_only=True):
    """How the values of one column are distributed."""

    name: str
    #: Rows, and those of them without a value.
    rows: int
    missing: int
    #: Mean and standard deviation of numbers; of booleans, true is 1.
    mean: float | None = None
    std: float | None = None
    #: For numbers: points, rising, each with the number of rows that it stands for.
    points: tuple[tuple[float, int], ...] = ()
    #: For text and booleans: the commonest values with their rows, commonest first, and the rows of all others.
    top: tuple[tuple[str, int], ...] = ()
    others: int = 0

    @property
    def known(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """The share of rows without a value, 0 to 1."""
        return self.missing / self.rows if self.rows else 0.0


class Summary(Record, frozen=True, kw_only=True):
    """How the values of some columns are distributed."""

    columns: tuple[ColumnSummary, ...] = ()

    def column(self, name: str) -> ColumnSummary | None:
        """Return one column, or None where it was not summarised."""
        return next((column for column in self.columns if column.name == name), None)


def summarise(rows: pl.DataFrame, columns: Iterable[str]) -> Summary:
    """Summarise columns of rows; moments, days and vectors only by their missing values."""
    return Summary(columns=tuple(_summarised(rows[name]) for name in columns))


def renewed(summary: Summary, rows: pl.LazyFrame) -> Summary:
    """Return a summary of the same columns, made of other rows; columns that these do not have stay as they were."""
    there = rows.collect_schema().names()
    names = [column.name for column in summary.columns if column.name in there]
    if not names:
        return summary
    fresh = summarise(rows.select(names).collect(), names)
    return Summary(columns=tuple(fresh.column(column.name) or column for column in summary.columns))


def merged(one: Summary, other: Summary) -> Summary:
    """Return the summary of the rows of both; a column that only one has is as it is there."""
    names = dict.fromkeys(column.name for column in (*one.columns, *other.columns))
    pairs = ((one.column(name), other.column(name)) for name in names)
    return Summary(columns=tuple(_added(first, second) for first, second in pairs))


def cumulative_distance(one: ColumnSummary, other: ColumnSummary) -> float:
    """Return the largest difference of the cumulative shares of two columns of numbers (Kolmogorov-Smirnov), 0 to 1."""
    if not one.points or not other.points:
        return 0.0
    places = np.union1d(_values(one.points), _values(other.points))
    return float(np.abs(_shares(one.points, places) - _shares(other.points, places)).max())


def category_distance(one: ColumnSummary, other: ColumnSummary) -> float:
    """Return the share of rows that would have to change to make two columns of text alike (total variation), 0 to 1.

    Values that are not among the commonest of both are one value.
    """
    if not one.known or not other.known:
        return 0.0
    first, second = dict(one.top), dict(other.top)
    both = first.keys() & second.keys() if one.others or other.others else first.keys() | second.keys()
    differences = [first.get(v, 0) / one.known - second.get(v, 0) / other.known for v in both]
    return (sum(map(abs, differences)) + abs(sum(differences))) / 2


def _summarised(values: pl.Series) -> ColumnSummary:
    known, dtype = values.drop_nulls(), values.dtype
    rows, missing = len(values), values.null_count()
    if dtype.is_numeric():
        numbers = known.cast(pl.Float64)
        mean, std = _moments(numbers)
        points = _points(numbers)
        return ColumnSummary(name=values.name, rows=rows, missing=missing, mean=mean, std=std, points=points)
    if dtype not in {pl.String, pl.Boolean}:
        return ColumnSummary(name=values.name, rows=rows, missing=missing)
    mean, std = _moments(known.cast(pl.Float64)) if dtype == pl.Boolean else (None, None)
    counts = known.cast(pl.String).str.slice(0, _LONGEST).rename("value").value_counts(name="n")
    top, others = _commonest(counts.rows())
    return ColumnSummary(
        name=values.name, rows=rows, missing=missing, mean=mean, std=std, top=top, others=others
    )


def _moments(numbers: pl.Series) -> tuple[float | None, float | None]:
    if numbers.is_empty():
        return None, None
    values = numbers.to_numpy()
    return float(values.mean()), float(values.std())


def _points(numbers: pl.Series) -> tuple[tuple[float, int], ...]:
    counts = numbers.rename("value").value_counts(name="n").sort("value")
    return _compressed(counts["value"].to_numpy(), counts["n"].cast(pl.Int64).to_numpy())


def _compressed(values: Floats, weights: NDArray[np.int64]) -> tuple[tuple[float, int], ...]:
    """Join neighbouring points until there are few enough; a point that stands for many rows is never moved."""
    if len(values) > POINTS:
        before = np.cumsum(weights) - weights
        groups = before * POINTS // int(weights.sum())
        last = np.append(np.flatnonzero(np.diff(groups)), len(values) - 1)
        weights = np.diff(np.cumsum(weights)[last], prepend=0)
        values = values[last]
    return tuple((float(value), int(weight)) for value, weight in zip(values, weights, strict=True))


def _added(one: ColumnSummary | None, other: ColumnSummary | None) -> ColumnSummary:
    if one is None or other is None:
        return one or other or ColumnSummary(name="", rows=0, missing=0)
    counts: dict[str, int] = dict(one.top)
    for value, count in other.top:
        counts[value] = counts.get(value, 0) + count
    top, more = _commonest(list(counts.items()))
    mean, std = _pooled(one, other)
    return ColumnSummary(
        name=one.name,
        rows=one.rows + other.rows,
        missing=one.missing + other.missing,
        mean=mean,
        std=std,
        points=_joined(one, other),
        top=top,
        others=one.others + other.others + more,
    )


def _pooled(one: ColumnSummary, other: ColumnSummary) -> tuple[float | None, float | None]:
    """Return mean and standard deviation of both (Chan, Golub and LeVeque 1983)."""
    if one.mean is None or one.std is None or other.mean is None or other.std is None:
        only = one if one.mean is not None else other
        return only.mean, only.std
    rows, apart = one.known + other.known, other.mean - one.mean
    mean = one.mean + apart * other.known / rows
    squares = one.std**2 * one.known + other.std**2 * other.known + apart**2 * one.known * other.known / rows
    return mean, math.sqrt(squares / rows)


def _joined(one: ColumnSummary, other: ColumnSummary) -> tuple[tuple[float, int], ...]:
    points = (*one.points, *other.points)
    if not points:
        return ()
    values, places = np.unique(_values(points), return_inverse=True)
    weights = np.zeros(len(values), dtype=np.int64)
    np.add.at(weights, places, np.array([weight for _, weight in points], dtype=np.int64))
    return _compressed(values, weights)


def _commonest(counts: Sequence[tuple[str, int]]) -> tuple[tuple[tuple[str, int], ...], int]:
    ordered = sorted(counts, key=lambda one: (-one[1], one[0]))
    return tuple(ordered[:TOP]), sum(count for _, count in ordered[TOP:])


def _values(points: Sequence[tuple[float, int]]) -> Floats:
    return np.array([value for value, _ in points], dtype=np.float64)


def _shares(points: Sequence[tuple[float, int]], places: Floats) -> Floats:
    """Return the share of rows up to each place."""
    cumulated = np.cumsum([0, *(weight for _, weight in points)])
    found = cumulated[np.searchsorted(_values(points), places, side="right")] / cumulated[-1]
    return np.asarray(found, dtype=np.float64)
