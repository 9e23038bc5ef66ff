"""Quantiles of the distributions that intervals are made with, from the standard library alone."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

#: Discordant pairs above which the normal distribution is as good as the binomial.
_MANY = 20_000


def normal(share: float) -> float:
    """Return the value that a standard normal variable stays below with a chance of `share`.

    >>> round(normal(0.975), 4)
    1.96
    """
    return NormalDist().inv_cdf(share)


@cache
def student(share: float, degrees: float) -> float:
    """Return the value that Student's t stays below with a chance of `share`.

    Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5): right to 1e-4 from 10 degrees of freedom on.

    >>> round(student(0.975, 29), 3)
    2.045
    """
    x = normal(share)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / degrees**power for power, term in enumerate(terms, start=1))


def sign_test(first: int, second: int) -> float:
    """Return the chance that as lopsided a split, or more so, comes of a fair coin: the exact two-sided test.

    >>> sign_test(5, 0)
    0.0625
    """
    total, most = first + second, max(first, second)
    if total > _MANY:
        return 2 * NormalDist().cdf(-(2 * most - total - 1) / math.sqrt(total))
    heads = np.arange(most, total + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    logs = factorials[total] - factorials[heads] - factorials[total - heads] - total * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


def wilson(hits: float, n: float, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return Wilson's interval of a share: it stays within 0 to 1, and has a width for 0 of n.

    >>> tuple(round(end, 3) for end in wilson(0, 100))
    (0.0, 0.037)
    """
    if n <= 0:
        return 0.0, 1.0
    z = normal(1 - alpha / 2)
    share, extra = hits / n, z * z / n
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / n + extra / (4 * n)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


def at_most(hits: int, n: int, share: float) -> float:
    """Return the chance of at most so many hits of n, each with a chance of `share`: the exact binomial.

    >>> round(at_most(0, 10, 0.1), 4)
    0.3487
    """
    if not 0 < share < 1:
        return float(share <= 0 or hits >= n)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    found = np.arange(hits + 1)
    logs = factorials[n] - factorials[found] - factorials[n - found]
    return min(1.0, float(np.exp(logs + found * math.log(share) + (n - found) * math.log1p(-share)).sum()))
