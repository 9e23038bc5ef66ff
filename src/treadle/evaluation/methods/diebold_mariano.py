"""The method `diebold_mariano`: for forecasts, whose errors overlap: a forecast h moments ahead errs with the last h - 1.

The influence of a moment is that of all its rows, so that several series may move together. The variance of the mean
adds the autocovariances up to lag h - 1, at least that of independent moments, with the correction of Harvey, Leybourne
and Newbold (1997) and Student's t. Where h is not small beside the number of moments, that is too narrow: so each end is
the farther of that and of the interval from equally weighted cosines (Lazarus, Lewis, Stock and Watson, 2018).
"""

from __future__ import annotations

import math

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.pair import Pair
from treadle.evaluation.quantiles import student

NAME = "diebold_mariano"
RANK = 50
_FEWEST_WAVES = 4


def unfit(pair: Pair) -> str:
    """Say why it cannot compare a pair; empty: it can."""
    if pair.horizon is None or pair.times is None:
        return "the rows are no forecasts with a horizon"
    if pair.influence is None:
        return f"{pair.measure.name} does not say how far a row moves it"
    return "" if pair.counts is None else "each row must be there by itself"


def ends(pair: Pair, *, alpha: float) -> tuple[float, float]:
    """Return the interval's ends; NaN where there are not at least twice as many moments as the horizon."""
    assert pair.influence is not None
    assert pair.horizon is not None
    series = _by_moment(pair)
    moments, horizon = len(series), pair.horizon
    if moments < max(2 * horizon, 3):
        return float("nan"), float("nan")
    variance = max(_long_run(series, lags=horizon - 1), float(series @ series) / moments) / moments
    correction = (moments + 1 - 2 * horizon + horizon * (horizon - 1) / moments) / moments
    half = student(1 - alpha / 2, moments - 1) * math.sqrt(variance / correction)
    waves = _waves(moments, horizon)
    other = student(1 - alpha / 2, waves) * math.sqrt(_of_cosines(series, waves) / moments)
    return pair.difference - max(half, other), pair.difference + max(half, other)


def _by_moment(pair: Pair) -> Floats:
    """Return the influence of each moment, in the order of time; their mean is that of the rows, 0."""
    assert pair.influence is not None
    places, code = np.unique(np.asarray(pair.times), return_inverse=True)
    return np.asarray(np.bincount(code, weights=pair.influence) * (len(places) / pair.n), dtype=np.float64)


def _waves(moments: int, horizon: int) -> int:
    """Return how many cosines: as many as is advised for series of no known horizon, none shorter than four horizons."""
    return max(_FEWEST_WAVES, min(int(0.4 * moments ** (2 / 3)), moments // (2 * horizon)))


def _of_cosines(series: Floats, waves: int) -> float:
    """Return the variance that the series has at its longest waves, which is that of its mean times its length."""
    moments = len(series)
    places = np.arange(1, moments + 1) - 0.5
    found = [series @ np.cos(np.pi * wave * places / moments) for wave in range(1, waves + 1)]
    return float(np.mean(np.square(found)) * 2 / moments)


def _long_run(series: Floats, *, lags: int) -> float:
    """Return the sum of the autocovariances up to a lag, both ways."""
    found = float(series @ series)
    found += 2 * sum(float(series[lag:] @ series[:-lag]) for lag in range(1, lags + 1))
    return found / len(series)
