"""One column in numbers: exact counts from the tally, distributions from the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from treadle.data.profiles.histogram import Floats, histogram
from treadle.data.profiles.records import ColumnProfile, Histogram, Lengths
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Tally, is_plain
from treadle.data.types import Kind

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TOP = 10


def column_profile(
    name: str, found: Tally, subject: Subject, *, like: ColumnProfile | None = None
) -> ColumnProfile:
    """Return one column's profile; `like` gives the bins, so that two profiles can be laid over each other."""
    values = found.sample[name]
    kind = kind_of(values.dtype)
    totals = found.totals[name]
    missing = int(totals.get("missing", 0))
    known = values.drop_nulls()
    details = _details(known, kind, like=like)
    distinct = found.distinct.get(name)
    return ColumnProfile(
        name=name,
        dtype=str(values.dtype),
        kind=kind,
        roles=subject.roles(name),
        missing=missing / found.rows if found.rows else 0.0,
        missing_rows=missing,
        distinct=distinct if distinct is not None else _distinct(known),
        distinct_exact=distinct is None,
        min=_plain(totals.get("min")),
        max=_plain(totals.get("max")),
        mean=totals.get("mean"),
        std=totals.get("std"),
        **details,
    )


def kind_of(dtype: pl.DataType) -> Kind | Any:
    """Return what a column's values are; `other` where a dataset cannot hold them."""
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    if dtype.is_numeric():
        return "float"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    if dtype == pl.Date:
        return "date"
    return "str" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else "other"


def numbers(values: pl.Series) -> Floats:
    """Return numbers, moments (as seconds since 1970), days (since then) or booleans as floats; missing ones are NaN."""
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.epoch("us").cast(pl.Float64).to_numpy() / 1e6
    return values.to_physical().cast(pl.Float64).to_numpy()


def _details(known: pl.Series, kind: str, *, like: ColumnProfile | None) -> dict[str, Any]:
    if kind == "bool":
        return {"top": _commonest(known)}
    if kind == "str":
        words = known.cast(pl.String)
        return {"top": _commonest(words), "lengths": _lengths(words, like=like)}
    if kind == "other" or known.is_empty():
        return {}
    values = np.sort(numbers(known))
    edges = like.histogram.edges if like and like.histogram else None
    if kind in {"datetime", "date"}:
        return {"histogram": histogram(values, whole=kind == "date", edges=edges)}
    return {
        "quantiles": dict(zip(map(str, _QUANTILES), np.quantile(values, _QUANTILES).tolist(), strict=True)),
        "skew": _skew(values),
        "zeros": float(np.mean(values == 0)),
        "histogram": histogram(values, whole=kind == "int", edges=edges),
    }


def _skew(values: Floats) -> float | None:
    centred = values - values.mean()
    spread = float(np.sqrt(np.mean(centred * centred)))
    # A constant whose mean cannot be written exactly is spread by its rounding errors alone.
    if spread <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return None
    standard = centred / spread
    return float(np.mean(standard * standard * standard))


def _lengths(words: pl.Series, *, like: ColumnProfile | None) -> Lengths | None:
    if words.is_empty():
        return None
    characters = np.sort(words.str.len_chars().cast(pl.Float64).to_numpy())
    shared = like.lengths.histogram if like and like.lengths else None
    found: Histogram | None = histogram(characters, whole=True, edges=shared.edges if shared else None)
    return Lengths(
        min=int(characters[0]), mean=float(characters.mean()), max=int(characters[-1]), histogram=found
    )


def _distinct(known: pl.Series) -> int:
    return known.n_unique() if is_plain(known.dtype) else 0


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
