"""Windows computed: the value of an aggregate for every row that asks, from the events that each row sees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.features import aggregates as declared
from treadle.features import exact, ordering
from treadle.features.aggregates import Aggregate
from treadle.features.stretches import LEAST, Stretches


def compute(aggregate: Aggregate, seen: Stretches, values: pl.DataFrame) -> pl.Series:
    """Return an aggregate's value for each place of `seen`; `values` has a row for each event of `seen`.

    Raises:
        InvalidInput: the type of the column does not fit.
    """
    match aggregate:
        case declared.Count(column=""):
            return pl.Series(seen.counts())
        case declared.Last():
            return _last(seen, values[aggregate.column])
    counted, column = _valued(seen, values[aggregate.column])
    match aggregate:
        case declared.Count():
            return pl.Series(counted.counts())
        case declared.Sum():
            return pl.Series(_sums(aggregate, counted, column))
        case declared.Mean():
            sums = pl.Series(_sums(aggregate, counted, column)).cast(pl.Float64)
            return _where_any(counted, sums / pl.Series(counted.counts()))
        case declared.Distinct():
            return pl.Series(counted.distinct(ordering.groups(column)))
        case declared.Max():
            keys, back = _keys(aggregate, column)
            return _where_any(counted, back(counted.greatest(keys)))
        case declared.Min():
            keys, back = _keys(aggregate, column)
            return _where_any(counted, back(~counted.greatest(~keys)))
    msg = (
        f"{aggregate!r} is no aggregate that can be computed. Expected one of {', '.join(declared.__all__)}."
    )
    raise InvalidInput(msg)


def _last(seen: Stretches, column: pl.Series) -> pl.Series:
    """Return the value of the last event; events stand in order of time, arrival and landing."""
    events = pl.Series(seen.greatest(np.arange(len(seen.events), dtype=np.int64)))
    return column.gather(_where(events != LEAST, events))


def _valued(seen: Stretches, column: pl.Series) -> tuple[Stretches, pl.Series]:
    """Return the events that have a value, and the values."""
    there = column.is_not_null()
    if column.dtype.is_float():
        there &= column.is_not_nan().fill_null(value=False)
    if there.all():
        return seen, column
    return seen.only(np.flatnonzero(there.to_numpy())), column.filter(there)


def _sums(aggregate: Aggregate, seen: Stretches, column: pl.Series) -> npt.NDArray[np.int64 | np.float64]:
    dtype = column.dtype
    if dtype.is_float():
        return _float_sums(seen, column.cast(pl.Float64).to_numpy())
    if not (dtype.is_integer() or dtype in (pl.Boolean, pl.Null)):
        raise _unfit(aggregate, column, "whole or floating-point numbers, or booleans")
    whole = column.cast(pl.Int64, strict=False)
    if whole.null_count() == column.null_count() and _fits(seen, whole):
        return seen.totals(whole.fill_null(0).to_numpy())
    raise _unfit(aggregate, column, "numbers whose sums fit into 64 bits; make them floating-point numbers")


def _fits(seen: Stretches, whole: pl.Series) -> bool:
    """Say whether no sum wraps round."""
    sizes = whole.fill_null(0).cast(pl.Float64).to_numpy()
    if float(np.abs(sizes).max(initial=0.0)) * len(whole) < 2.0**62:
        return True
    return bool((np.abs(exact.total(sizes, seen.totals)) < 2.0**63).all())


def _float_sums(seen: Stretches, amounts: exact.Floats) -> exact.Floats:
    """Return sums as floating-point arithmetic has them: infinite where there is an infinity, NaN where there are both."""
    finite = np.isfinite(amounts)
    if finite.all():
        return exact.total(amounts, seen.totals)
    sums = exact.total(np.where(finite, amounts, 0.0), seen.totals)
    above = seen.totals((amounts == np.inf).astype(np.int64)) > 0
    below = seen.totals((amounts == -np.inf).astype(np.int64)) > 0
    sums[above], sums[below], sums[above & below] = np.inf, -np.inf, np.nan
    return sums


def _keys(aggregate: Aggregate, column: pl.Series) -> ordering.Keys:
    if not ordering.has_order(column.dtype):
        raise _unfit(aggregate, column, "values with an order: numbers, booleans, moments or text")
    return ordering.ascending(column)


def _where_any(seen: Stretches, values: pl.Series) -> pl.Series:
    return _where(pl.Series(seen.counts()) > 0, values)


def _where(condition: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(condition).then(values)).to_series()


def _unfit(aggregate: Aggregate, column: pl.Series, expected: str) -> InvalidInput:
    name = f"{type(aggregate).__name__}({aggregate.column!r})"
    return InvalidInput(f"{name}: the column is {column.dtype}; expected {expected}.", field=aggregate.column)
