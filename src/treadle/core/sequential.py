"""Bounds that hold at every look: who looks again and again, and stops when he likes, errs no more often than `alpha`.

Rates: the beta-binomial mixture (Robbins 1970). Means: asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha,
Kennedy, Ramdas 2021), which hold from some hundred units on. Distributions: the time-uniform bound of Howard and
Ramdas (2022, "Sequential estimation of quantiles", theorem 2).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_STEPS = 60


def rate_bounds(hits: int, n: int, *, alpha: float) -> tuple[float, float]:
    """Return bounds of a rate after `hits` of `n`: all of them, at whatever n, hold with a chance of 1 - alpha.

    >>> [round(bound, 4) for bound in rate_bounds(5, 100, alpha=0.01)]
    [0.005, 0.1751]
    """
    if n == 0:
        return 0.0, 1.0
    mixed = math.lgamma(hits + 0.5) + math.lgamma(n - hits + 0.5) - math.lgamma(n + 1) - math.log(math.pi)

    def inside(rate: float) -> bool:
        likely = (hits * math.log(rate) if hits else 0.0) + (
            (n - hits) * math.log1p(-rate) if n > hits else 0.0
        )
        return mixed - likely < -math.log(alpha)

    seen = hits / n
    low = 0.0 if hits == 0 else _edge(inside, seen, 0.0)
    high = 1.0 if hits == n else _edge(inside, seen, 1.0)
    return low, high


def _edge(inside: object, within: float, without: float) -> float:
    """Return where a set ends between a point in it and one that is not."""
    assert callable(inside)
    for _ in range(_STEPS):
        middle = (within + without) / 2
        if inside(middle):
            within = middle
        else:
            without = middle
    return without


def mean_radius(variance: float, n: int, *, alpha: float, planned: int) -> float:
    """Return half the width of a mean's interval after n units; it is narrowest, for its kind, at `planned` units."""
    if n < 2:
        return math.inf
    rho = _tuned(alpha, planned)
    scale = n * rho + 1
    return math.sqrt(variance * 2 * scale / (n * n * rho) * math.log(math.sqrt(scale) / alpha))


def mean_p(mean: float, variance: float, n: int, *, alpha: float, planned: int) -> float:
    """Return the alpha at which the interval of `mean_radius`, tuned for `alpha`, would just hold 0: an always-valid p-value.

    >>> round(mean_p(mean_radius(1.0, 500, alpha=0.05, planned=500), 1.0, 500, alpha=0.05, planned=500), 6)
    0.05
    """
    if n < 2:
        return 1.0
    if not variance:
        return 1.0 if mean == 0 else 0.0
    rho = _tuned(alpha, planned)
    scale = n * rho + 1
    return min(1.0, math.sqrt(scale) * math.exp(-mean * mean * n * n * rho / (2 * variance * scale)))


def _tuned(alpha: float, planned: int) -> float:
    """Return the mixture's precision with which intervals are narrowest after `planned` units."""
    log = -2 * math.log(alpha)
    return (log + math.log(log + 1)) / planned


def distribution_radius(n: int, *, alpha: float) -> float:
    """Return how far a distribution of n independent values may be, anywhere, from the true one."""
    if n == 0:
        return 1.0
    return min(1.0, 0.85 * math.sqrt((math.log(math.log(math.e * n)) + 0.8 * math.log(1612 / alpha)) / n))


def distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Return the largest difference of two empirical distribution functions (Kolmogorov and Smirnov's)."""
    import numpy as np

    places = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(side), places, side="right") / len(side) for side in (one, other)]
    return float(np.abs(below[0] - below[1]).max())
