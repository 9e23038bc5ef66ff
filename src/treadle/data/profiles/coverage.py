"""Time coverage: when the rows are, and where there should be some and are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from treadle.data.profiles.records import Coverage, Gap

#: Lengths of stretches, shortest first.
EVERY = ("1s", "10s", "1m", "5m", "15m", "1h", "3h", "6h", "1d", "1w", "1mo", "3mo", "1y")
_MOST = 400
_MOST_TRENDS = 60
#: Empty stretches are a gap when so many rows would be expected in them: fewer could be chance.
_EXPECTED = 10
#: Share of the rows at either end (or three rows, if these are not over 1 %) that is cut off where it is further from the
#: others than these are from each other.
_TAIL = 0.0005
_TAIL_ROWS = 3


def coverage(moments: pl.DataFrame, *, grain: str) -> Coverage | None:
    """Return the coverage of moments counted by `grain` (`start`, `rows`, in order); None where there are none."""
    counted = _without_far_ends(moments)
    if counted.is_empty():
        return None
    every, filled = _filled(counted, grain=grain, most=_MOST)
    trend_every, trend = _filled(counted, grain=grain, most=_MOST_TRENDS)
    starts, rows = filled["start"].to_list(), filled["rows"].to_list()
    ends = [*starts[1:], filled["start"].dt.offset_by(every).to_list()[-1]]
    return Coverage(
        every=every,
        starts=tuple(starts),
        rows=tuple(rows),
        gaps=tuple(_gaps(starts, ends, rows)),
        outside=int(moments["rows"].sum()) - int(counted["rows"].sum()),
        trend_every=trend_every,
        trend_starts=tuple(trend["start"].to_list()),
    )


def _without_far_ends(moments: pl.DataFrame) -> pl.DataFrame:
    """Cut off moments so far from nearly all others that the picture would show nothing else."""
    if moments.height < 3:
        return moments
    rows = moments["rows"].to_numpy()
    so_far = np.cumsum(rows)
    tail = max(_TAIL * so_far[-1], min(_TAIL_ROWS, so_far[-1] // 100))
    first = moments["start"][int(np.searchsorted(so_far, tail, side="right"))]
    last = moments["start"][int(np.searchsorted(so_far, so_far[-1] - tail))]
    span = max(last - first, timedelta(seconds=1))
    return moments.filter(pl.col("start").is_between(_shifted(first, -span), _shifted(last, span)))


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


def _filled(counted: pl.DataFrame, *, grain: str, most: int) -> tuple[str, pl.DataFrame]:
    """Count in the shortest stretches of which there are not too many, with zero where there is no row."""
    first, last = counted["start"][0], counted["start"][-1]
    for every in EVERY[EVERY.index(grain) :]:
        span = pl.select(
            pl.lit(first, dtype=counted.schema["start"]).dt.truncate(every).alias("first"),
            pl.lit(last, dtype=counted.schema["start"]).dt.truncate(every).alias("last"),
        )
        if _stretches(span, every) <= most or every == EVERY[-1]:
            break
    starts = span.select(pl.datetime_ranges("first", "last", interval=every).explode().alias("start"))
    sums = counted.group_by(pl.col("start").dt.truncate(every)).agg(pl.col("rows").sum())
    return every, starts.join(sums, on="start", how="left", maintain_order="left").with_columns(
        pl.col("rows").fill_null(0)
    )


def _stretches(span: pl.DataFrame, every: str) -> int:
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "mo": 2_629_800, "y": 31_557_600}
    unit = every.lstrip("0123456789")
    length = int(every.removesuffix(unit)) * seconds[unit]
    return int((span["last"][0] - span["first"][0]).total_seconds() // length) + 1


def _gaps(starts: Sequence[datetime], ends: Sequence[datetime], rows: Sequence[int]) -> list[Gap]:
    """Return runs of empty stretches in which rows would be expected, by the median of the others."""
    filled = sorted(count for count in rows if count)
    usual = filled[len(filled) // 2]
    gaps: list[Gap] = []
    first = None
    for place, count in enumerate(rows):
        if count == 0 and first is None:
            first = place
        if count and first is not None:
            if (place - first) * usual >= _EXPECTED:
                gaps.append(Gap(start=starts[first], end=ends[place - 1]))
            first = None
    return gaps
