"""How far apart two policies are on the same rows, and how sure that is: days count as one, for rows of a day are alike."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from treadle.core.records import Record

_DAY = 86_400_000_000


class Difference(Record, frozen=True, kw_only=True):
    """A mean loss less another one on the same rows, with its interval; negative: the first is better."""

    value: float
    low: float
    high: float
    rows: int
    days: int

    @property
    def is_worse(self) -> bool:
        """Whether the first is certainly worse."""
        return self.low > 0

    @property
    def is_better(self) -> bool:
        """Whether the first is certainly better."""
        return self.high < 0


def difference(first: np.ndarray, second: np.ndarray, *, time: np.ndarray, alpha: float) -> Difference | None:
    """Compare losses row by row; None: there are fewer than two days to judge by.

    The interval is that of a ratio of sums over days (linearised, Student's quantile approximated by the normal one with the variance
    over days - 1): losses of one day move together, so rows are not independent.

    >>> day = np.repeat(np.arange(50) * 86_400_000_000, 4)
    >>> difference(np.ones(200), np.zeros(200), time=day, alpha=0.05).value
    1.0
    """
    days, places = np.unique(time // _DAY, return_inverse=True)
    if len(days) < 2:
        return None
    gap = first - second
    value = float(gap.mean())
    left = np.bincount(places, weights=gap - value)
    spread = math.sqrt(float((left**2).sum()) * len(days) / (len(days) - 1)) / len(gap)
    reach = NormalDist().inv_cdf(1 - alpha / 2) * spread
    return Difference(value=value, low=value - reach, high=value + reach, rows=len(gap), days=len(days))
