"""Negative log likelihood: the mean of minus the log density that a model gives to the rows, in nats; less is better.

A density has the inputs' units, so only models of the same inputs can be compared, and a value may be negative.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, numbers

NAME = "negative_log_likelihood"
TASK = "density"
GREATER_IS_BETTER = False


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return minus each row's log density; there are no outcomes, `y` is what stands for them."""
    _, densities = numbers(y, p)
    return np.asarray(-densities)


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([0, 0], [-1.0, -2.0])
    1.5
    """
    return float(mean(per_row(y, p), weight))
