"""How probable a statistic at least as large is where nothing has changed."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_HALVINGS = 60


def quadratic(value: float, weights: Floats, *, times: float = 1.0) -> float:
    """Return P(Σ wⱼ χ²(times) ≥ value) for independent chi-squares, to about one per cent of itself.

    By the saddlepoint approximation of Lugannani and Rice (Kuonen, 1999), which holds far out in the tail. Near the mean
    a normal with the same two moments is close enough: nobody decides anything there.

    >>> round(quadratic(3.84, np.array([1.0])), 2), round(quadratic(27.9, np.ones(9)), 4)
    (0.05, 0.001)
    """
    kept = weights[weights > weights.max(initial=0.0) * 1e-9]
    mean, variance = times * float(kept.sum()), 2 * times * float((kept**2).sum())
    if not kept.size or value <= 0:
        return 1.0
    if value <= mean + 0.05 * math.sqrt(variance):
        return 0.5 * math.erfc((value - mean) / math.sqrt(2 * variance))
    at = _saddle(value, kept, times)
    shrunk = 1 - 2 * at * kept
    generating = -0.5 * times * float(np.log(shrunk).sum())
    curved = 2 * times * float(((kept / shrunk) ** 2).sum())
    w = math.sqrt(max(2 * (at * value - generating), 1e-12))
    v = at * math.sqrt(curved)
    return min(1.0, 0.5 * math.erfc((w + math.log(v / w) / w) / math.sqrt(2)))


def _saddle(value: float, weights: Floats, times: float) -> float:
    """Return the point at which the cumulant function's slope is the value, by halving: it rises without end."""
    low, high = 0.0, 0.5 / float(weights.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = times * float((weights / (1 - 2 * middle * weights)).sum())
        low, high = (middle, high) if slope < value else (low, middle)
    return low


def gamma(value: float, *, mean: float, variance: float) -> float:
    """Return P(X ≥ value) of a gamma variable with this mean and variance.

    >>> round(gamma(16.92, mean=9, variance=18), 3)
    0.05
    """
    if mean <= 0 or variance <= 0:
        return 1.0
    return quadratic(value, np.array([variance / (2 * mean)]), times=2 * mean * mean / variance)


def drawn(hits: int, rows: int, *, marked: int, of: int) -> float:
    """Return P(at least `hits` marked ones among `rows` drawn without replacement from `of`, of which so many are marked).

    The sum of the hypergeometric terms, each from the one before it.

    >>> round(drawn(3, 5, marked=4, of=10), 4)
    0.2619
    """
    most = min(rows, marked)
    if hits <= max(0, rows + marked - of):
        return 1.0
    if hits > most:
        return 0.0
    if hits <= rows * marked / of:
        return max(0.0, 1.0 - _upper(rows - hits + 1, rows, marked=of - marked, of=of))
    return _upper(hits, rows, marked=marked, of=of)


def _upper(hits: int, rows: int, *, marked: int, of: int) -> float:
    """Return the sum of the terms from `hits` up, which lies beyond the mean, so that terms fall fast."""
    most = min(rows, marked)
    if hits > most:
        return 0.0
    if hits <= max(0, rows + marked - of):
        return 1.0
    first = _choose(marked, hits) + _choose(of - marked, rows - hits) - _choose(of, rows)
    steps = np.arange(hits, min(most, hits + 20 + 40 * int(math.sqrt(hits + 1))), dtype=np.float64)
    ratios = (marked - steps) * (rows - steps) / ((steps + 1) * (of - marked - rows + steps + 1))
    terms = 1.0 + float(np.cumprod(ratios).sum()) if ratios.size else 1.0
    return min(1.0, math.exp(min(0.0, first + math.log(terms))))


def _choose(many: int, few: int) -> float:
    return math.lgamma(many + 1) - math.lgamma(few + 1) - math.lgamma(many - few + 1)


def two_shares(hits: int, rows: int, before: int, of: int) -> float:
    """Return the exact two-sided p of `hits` in `rows` against `before` in `of`: twice the smaller tail (Fisher, 1935).

    >>> round(two_shares(9, 100, 30, 1_000), 4)
    0.0124
    """
    marked, everything = hits + before, rows + of
    if not rows or not of or not marked or marked == everything:
        return 1.0
    if hits * of >= before * rows:
        return min(1.0, 2 * drawn(hits, rows, marked=marked, of=everything))
    return min(1.0, 2 * drawn(rows - hits, rows, marked=everything - marked, of=everything))


def corrected(p: Floats) -> Floats:
    """Return p-values corrected for how many there are (Benjamini and Hochberg, 1995), in their order.

    Those at most at a rate are findings of which so large a share is false; where nothing has changed, the chance of any
    is at most that rate.

    >>> corrected(np.array([0.01, 0.04, 0.03, 0.5])).round(3).tolist()
    [0.04, 0.053, 0.053, 0.5]
    """
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty_like(scaled)
    found[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return found
