"""The ends of an interval from influence values: Student's interval, made wider where few or skewed rows decide.

Two things make the plain interval too narrow on a few hundred rows. Few rows may decide (five rows of two hundred on
which the predictors differ, all in favour of one): so two rows are thought of besides, one for each side, each as large
as the largest, as Bonett and Price (2012) do for paired proportions. And the values may be skewed, which moves both
ends: so each end is the farther of Student's and that of Hall's transformation (1992), which corrects for skewness. A
metric that adds up absolute means has its ends moved by what noise alone adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.pair import Pair
from treadle.evaluation.quantiles import student

#: The fewest units that must decide a metric: fewer make its interval too narrow.
FEWEST = 30
_NO_SKEW = 1e-9


@dataclass(frozen=True)
class Moments:
    """What the interval needs to know of independent units: how many, and how they move the estimate."""

    units: int
    #: Standard error of the estimate, with the two rows that are thought of besides.
    error: float
    skewness: float


def ends(pair: Pair, *, alpha: float) -> tuple[float, float]:
    """Return the interval's ends; NaN where the metric has no value, or no row decides."""
    values = pair.influence
    if values is None:
        return float("nan"), float("nan")
    found = moments(pair, values)
    low, high = around(pair.difference, found, alpha=alpha)
    raised, lowered = _excesses(pair)
    return low - raised, high + lowered


def around(estimate: float, found: Moments, *, alpha: float) -> tuple[float, float]:
    """Return the farther of Student's and Hall's end on each side."""
    t = student(1 - alpha / 2, found.units - 1)
    half = t * found.error
    low, high = estimate - half, estimate + half
    lean = found.skewness / np.sqrt(found.units)
    if abs(lean) > _NO_SKEW:
        low = min(low, estimate - found.error * _hall(t, lean))
        high = max(high, estimate - found.error * _hall(-t, lean))
    return low, high


def too_few(pair: Pair) -> str:
    """Say that too few rows decide the metric; empty: enough do."""
    looked_at = [one.deciding for one in pair.scored if one is not None and one.deciding is not None]
    if not looked_at:
        return ""
    rows = np.logical_or.reduce(looked_at)
    units = np.unique(pair.codes[rows]).size if pair.codes is not None else int(_total(rows, pair))
    if units >= FEWEST:
        return ""
    what = "rows" if pair.codes is None else "groups"
    return f"Only {units} of {pair.units:,} {what} decide {pair.measure.name}; at least {FEWEST} are needed."


def _total(rows: np.ndarray, pair: Pair) -> float:
    return float(rows.sum() if pair.counts is None else pair.counts[rows].sum())


def moments(pair: Pair, values: Floats) -> Moments:
    """Return what the interval needs to know of influence values of a pair's rows."""
    counts, units = pair.counts, pair.units
    if pair.codes is not None:
        # Sums over groups, scaled so that their mean over groups is that over rows.
        sums = np.bincount(pair.codes, weights=values).astype(np.float64)
        values, counts = np.asarray(sums * (units / pair.n)), pair.of_groups
    came = values if counts is None else values[counts > 0]
    size = float(np.abs(came).max(initial=0.0)) or _of_nothing(pair)
    squares = float(values @ values if counts is None else counts @ values**2) + 2 * size**2
    cubes = float((values**3).sum() if counts is None else counts @ values**3)
    variance = squares / max(units - 1, 1)
    skewness = cubes / units / variance**1.5 if variance > 0 else 0.0
    return Moments(units=units, error=float(np.sqrt(variance / units)), skewness=skewness)


def _of_nothing(pair: Pair) -> float:
    """Return how far one row could move the metric, where none of those that came did.

    Two predictors that never differ in what counts are not shown to be equal: the next row may tell them apart.
    """
    looked_at = pair.scored[0].deciding
    if looked_at is not None:
        return pair.n / max(1.0, _total(looked_at, pair))
    if pair.counts is not None:
        return 1.0
    return max(_of_nothing_in(outcomes) for outcomes in np.atleast_2d(pair.y.T))


def _of_nothing_in(outcomes: Floats) -> float:
    found, often = np.unique(outcomes, return_counts=True)
    return len(outcomes) / (2 * float(often.min())) if len(found) == 2 else 1.0


def _excesses(pair: Pair) -> tuple[float, float]:
    first, second = (0.0 if one is None else one.excess(pair.codes) for one in pair.scored)
    return first, abs(pair.scale) * second


def _hall(t: float, lean: float) -> float:
    """Return the inverse of Hall's monotone transformation of Student's t, for skewness over root n."""
    return float(3 / lean * (np.cbrt(1 + lean * (t - lean / 6)) - 1))
