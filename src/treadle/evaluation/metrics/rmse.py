"""Root of the mean squared error, in the unit of the target; the lower the better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, across, estimates, mean

NAME = "rmse"
TASK = ("regression", "forecast")
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the squared error of each row; of several numbers, the mean of theirs."""
    outcomes, predictions = estimates(y, p)
    return across((outcomes - predictions) ** 2)[:, None]


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    return np.asarray(np.sqrt(np.maximum(means[..., 0], 0)))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1.0, 4.0], [2.0, -3.0])
    5.0
    """
    return float(combine(mean(terms(y, p), weight)))
