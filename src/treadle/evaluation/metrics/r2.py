"""Coefficient of determination: the share of the target's variance that is explained; NaN where it does not vary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, numbers, ratio

NAME = "r2"
TASK = "regression"
GREATER_IS_BETTER = True
BOUNDS = (None, 1.0)


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return, for each row, the squared error, and the outcome's distance from the median and its square."""
    outcomes, estimates = numbers(y, p)
    distance = outcomes - np.median(outcomes)
    return np.column_stack([(outcomes - estimates) ** 2, distance, distance**2])


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    return 1 - ratio(means[..., 0], means[..., 2] - means[..., 1] ** 2)


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    return float(combine(mean(terms(y, p), weight)))
