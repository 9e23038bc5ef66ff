"""How many units an experiment needs, and how long until they are known."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from statistics import NormalDist

import polars as pl

from treadle.core.contrast import Contrast
from treadle.core.sequential import mean_radius
from treadle.monitoring.experiment import Design

_RECENT = timedelta(days=7)
_MOST = 10**12


def needed(found: Contrast | None, design: Design) -> int | None:
    """Return the units with which a difference of the size worth finding is found with the design's power; None: nobody can say yet.

    As many are needed as make the interval's half width, and what the estimate may be off by, as large as the difference.
    """
    if found is None or not found.control or not found.variance:
        return None
    effect = design.effect * abs(found.control)
    reach = NormalDist().inv_cdf(design.power)

    def enough(n: int) -> bool:
        radius = _radius(found.variance, n, design)
        return radius + reach * math.sqrt(found.variance / n) <= effect

    low, high = 1, 2
    while not enough(high):
        if high > _MOST:
            return None
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _radius(variance: float, n: int, design: Design) -> float:
    if design.method == "always":
        return mean_radius(variance, n, alpha=design.alpha, planned=design.planned or 10_000)
    return NormalDist().inv_cdf(1 - design.alpha / 2) * math.sqrt(variance / n)


def left(known: pl.DataFrame, *, units: int, needed: int | None, now: datetime) -> float | None:
    """Return the seconds until `needed` units are known, at the pace of the last week; None: nobody can say."""
    if needed is None or known.is_empty():
        return None
    if units >= needed:
        return 0.0
    begun = known.group_by("unit").agg(pl.col("known_at").min())["known_at"]
    first = begun.min()
    assert isinstance(first, datetime)
    start = max(now - _RECENT, first)
    seconds, recent = (now - start).total_seconds(), int((begun >= start).sum())
    return (needed - units) * seconds / recent if recent and seconds > 0 else None
