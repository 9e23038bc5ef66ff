"""Profiles: what the rows of a dataset version look like, as numbers."""

from __future__ import annotations

from datetime import datetime

import msgspec
import numpy as np
import polars as pl

from treadle.core.records import Record

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TOP = 10


class ColumnProfile(Record, frozen=True, kw_only=True):
    """One column in numbers."""

    name: str
    #: The type, as Polars names it.
    dtype: str
    #: Share of rows without a value, 0 to 1.
    missing: float
    #: Different values, not counting the missing one.
    distinct: int
    #: Least and greatest value: numbers as numbers, moments and days as ISO 8601 text, text by its code points.
    min: float | str | None = None
    max: float | str | None = None
    #: Mean of numbers; of booleans the share that is true.
    mean: float | None = None
    #: Quantiles of numbers, by their share as text (`0.5` is the median).
    quantiles: dict[str, float] = msgspec.field(default_factory=dict)
    #: The commonest values of text and booleans with their counts, commonest first, ties by value.
    top: tuple[tuple[str, int], ...] = ()


class Profile(Record, frozen=True, kw_only=True):
    """A dataset version in numbers."""

    dataset: str
    version: int
    rows: int
    columns: tuple[ColumnProfile, ...]
    #: Rows in each part of the split.
    splits: dict[str, int] = msgspec.field(default_factory=dict)
    time_min: datetime | None = None
    time_max: datetime | None = None

    def column(self, name: str) -> ColumnProfile:
        """Return one column's profile; it must exist."""
        return next(column for column in self.columns if column.name == name)


def profile(frame: pl.DataFrame, *, dataset: str = "", version: int = 0, time: str | None = None) -> Profile:
    """Describe a frame; columns that start with `_` are Treadle's own and are passed over.

    >>> profile(pl.DataFrame({"a": [1, 2, None]})).column("a").mean
    1.5
    """
    splits = frame["_split"].drop_nulls().value_counts().rows() if "_split" in frame.columns else []
    earliest, latest = (
        frame.select(pl.col(time).min().alias("a"), pl.col(time).max().alias("b")).row(0)
        if time
        else (None, None)
    )
    return Profile(
        dataset=dataset,
        version=version,
        rows=frame.height,
        columns=tuple(_column(frame[name]) for name in frame.columns if not name.startswith("_")),
        splits=dict(sorted(splits)),
        time_min=earliest,
        time_max=latest,
    )


def _column(values: pl.Series) -> ColumnProfile:
    known = values.drop_nulls()
    dtype = values.dtype
    return ColumnProfile(
        name=values.name,
        dtype=str(dtype),
        missing=values.null_count() / len(values) if len(values) else 0.0,
        distinct=known.n_unique(),
        min=_plain(known.min()),
        max=_plain(known.max()),
        mean=_mean(known),
        quantiles=_quantiles(known) if dtype.is_numeric() else {},
        top=_commonest(known) if dtype in {pl.String, pl.Boolean} else (),
    )


def _mean(known: pl.Series) -> float | None:
    if known.is_empty() or not (known.dtype.is_numeric() or known.dtype == pl.Boolean):
        return None
    return float(known.cast(pl.Float64).to_numpy().mean())


def _quantiles(known: pl.Series) -> dict[str, float]:
    if known.is_empty():
        return {}
    values = np.quantile(known.cast(pl.Float64).to_numpy(), _QUANTILES)
    return {str(share): float(value) for share, value in zip(_QUANTILES, values, strict=True)}


def _commonest(known: pl.Series) -> tuple[tuple[str, int], ...]:
    counts = known.cast(pl.String).rename("value").value_counts(name="count")
    rows = counts.sort("count", "value", descending=[True, False]).head(_TOP).rows()
    return tuple((value, count) for value, count in rows)


def _plain(value: object) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
