"""Bounds for a few looks that were planned: the error is spent a part at each look, and most of it at the last one.

Lan and DeMets' (1983) spending function in O'Brien and Fleming's shape, half of the error on each side; the bounds by the recursion of
Armitage, McPherson and Rowe (1969), as in Jennison and Turnbull (2000), "Group sequential methods", chapter 19.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()
_POINTS, _REACH, _STEPS = 801, 8.0, 60


def spent(fraction: float, *, alpha: float) -> float:
    """Return how much of the error may have been made when a fraction (0 to 1) of the planned units is known."""
    if fraction <= 0:
        return 0.0
    return 4 * (1 - _NORMAL.cdf(_NORMAL.inv_cdf(1 - alpha / 4) / math.sqrt(min(fraction, 1.0))))


@lru_cache(maxsize=64)
def bounds(fractions: Sequence[float], *, alpha: float) -> tuple[float, ...]:
    """Return the bound on |z| at each look; `fractions` (a tuple) grows, and 1 is the last look.

    >>> [round(bound, 2) for bound in bounds((0.2, 0.4, 0.6, 0.8, 1.0), alpha=0.05)]
    [4.88, 3.36, 2.68, 2.29, 2.03]
    """
    found: list[float] = []
    # Before the first look all paths are at 0: one point that has all the weight.
    grid, density, before = np.zeros(1), np.ones(1), 0.0
    for fraction in fractions:
        scale = math.sqrt(fraction - before)
        left = spent(fraction, alpha=alpha) - spent(before, alpha=alpha)
        bound = _crossed_by(grid, density, scale, left)
        found.append(bound / math.sqrt(fraction))
        # A path that has not crossed lies between the bounds, and its next step is normal.
        inside = np.linspace(-bound, bound, _POINTS)
        density = _pdf(inside[:, None] - grid[None, :], scale) @ (density * _widths(grid))
        grid, before = inside, fraction
    return tuple(found)


def _crossed_by(grid: np.ndarray, density: np.ndarray, scale: float, wanted: float) -> float:
    """Return the bound (on the scale of sums) beyond which a share `wanted` of the paths comes with the next step."""
    weights = (density * _widths(grid)).tolist()
    low, high = 0.0, _REACH
    for _ in range(_STEPS):
        middle = (low + high) / 2
        beyond = sum(
            weight * (_tail((middle - place) / scale) + _tail((middle + place) / scale))
            for place, weight in zip(grid.tolist(), weights, strict=True)
        )
        low, high = (middle, high) if beyond > wanted else (low, middle)
    return high


def _pdf(places: np.ndarray, scale: float) -> np.ndarray:
    return np.asarray(np.exp(-0.5 * (places / scale) ** 2) / (scale * math.sqrt(2 * math.pi)))


def _tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _widths(grid: np.ndarray) -> np.ndarray:
    """Simpson's weights of an evenly spaced grid with an odd number of points."""
    if len(grid) == 1:
        return np.ones(1)
    found = np.full(len(grid), 2.0)
    found[1::2] = 4.0
    found[[0, -1]] = 1.0
    return np.asarray(found * (grid[1] - grid[0]) / 3)
