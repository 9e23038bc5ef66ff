"""Symmetric mean absolute percentage error: the error as a share of the mean of |target| and |estimate|, 0 to 2."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, across, estimates, mean

NAME = "smape"
TASK = ("regression", "forecast")
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the relative error of each row, 0 where target and estimate are both 0; of several numbers, the mean of theirs."""
    outcomes, predictions = estimates(y, p)
    size = np.abs(outcomes) + np.abs(predictions)
    return across(2 * np.abs(outcomes - predictions) / np.where(size == 0, 1.0, size))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1.0, 0.0], [3.0, 0.0])
    0.5
    """
    return float(mean(per_row(y, p), weight))
