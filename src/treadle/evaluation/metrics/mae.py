"""Mean absolute error, in the unit of the target; the lower the better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, across, estimates, mean

NAME = "mae"
TASK = ("regression", "forecast")
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the absolute error of each row; of several numbers, the mean of theirs."""
    outcomes, predictions = estimates(y, p)
    return across(np.abs(outcomes - predictions))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1.0, 4.0], [2.0, 1.0])
    2.0
    """
    return float(mean(per_row(y, p), weight))
