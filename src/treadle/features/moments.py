"""Moments as whole numbers that can be compared: ticks since 1970 in UTC, in a unit in which nothing is lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidInput

Unit = Literal["us", "ns"]
Ticks = npt.NDArray[np.int64]

_PER_SECOND = {"us": 1_000_000, "ns": 1_000_000_000}
_LEAST, _MOST = -(2**63), 2**63 - 1


def unit_of(*columns: pl.Series) -> Unit:
    """Return the unit in which no column loses anything."""
    return "ns" if any(getattr(column.dtype, "time_unit", "") == "ns" for column in columns) else "us"


def ticks(moments: pl.Series, unit: Unit) -> pl.Series:
    """Return moments as whole units since 1970 in UTC; moments without a zone are taken to be UTC.

    What nanoseconds cannot hold (before 1677, after 2262) becomes the first or last of them, which keeps the order.

    Raises:
        InvalidInput: the column holds no moments.
    """
    if moments.dtype != pl.Null and not isinstance(moments.dtype, pl.Datetime | pl.Date):
        msg = f"Column {moments.name!r} is {moments.dtype}. Expected moments: a Datetime or a Date column."
        raise InvalidInput(msg, field=moments.name)
    if unit == "ns" and getattr(moments.dtype, "time_unit", "") != "ns":
        return _widened(ticks(moments, "us"))
    zone = getattr(moments.dtype, "time_zone", None)
    return moments.cast(pl.Datetime(unit, zone)).cast(pl.Int64).rechunk()


def tick(at: datetime, unit: Unit) -> int:
    """Return one moment as `ticks` does."""
    return int(ticks(pl.Series("moment", [utc(at)], dtype=pl.Datetime("us", "UTC")), unit).item())


def span_ticks(span: timedelta, unit: Unit) -> int:
    """Return a length of time in whole units, at most the largest that there is."""
    micros = span // timedelta(microseconds=1)
    return min(micros * (_PER_SECOND[unit] // _PER_SECOND["us"]), _MOST)


def earlier(moments: Ticks, span: int) -> Ticks:
    """Return the moments a span earlier; the first moment that there is where that is too early to be written."""
    return np.maximum(moments, _LEAST + span) - span


def later(moments: Ticks, span: int) -> Ticks:
    """Return the moments a span later; the last moment that there is where that is too late to be written."""
    return np.minimum(moments, _MOST - span) + span


def _widened(micros: pl.Series) -> pl.Series:
    """Return microseconds as nanoseconds. A bare product would wrap round without a word."""
    low, high = _LEAST // 1000, _MOST // 1000
    widest = pl.select(
        pl.when(micros > high).then(_MOST).when(micros < low + 1).then(_LEAST).otherwise(micros * 1000)
    ).to_series()
    return widest.rename(micros.name)
