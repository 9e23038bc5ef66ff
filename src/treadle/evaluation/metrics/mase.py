"""Mean absolute scaled error: the error of forecasts in units of what the series moves in a season (Hyndman and Koehler, 2006).

Below 1 a forecast errs less than saying, one season ahead, that all is as it was a season ago did over the series so far.
Series of different sizes count the same. The scale of each row comes with the snapshot, so what this metric is
given are outcomes and predictions divided by it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, across, estimates, mean

NAME = "mase"
TASK = "forecast"
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)
SCALED = True


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the absolute error of each row, the mean over its steps, of what is in units of the scale."""
    outcomes, predictions = estimates(y, p)
    return across(np.abs(outcomes - predictions))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> scale = 2.0
    >>> value(np.array([[10.0, 12.0]]) / scale, np.array([[11.0, 12.0]]) / scale)
    0.25
    """
    return float(mean(per_row(y, p), weight))
