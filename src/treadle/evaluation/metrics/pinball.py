"""Pinball loss: how far quantiles are off, each weighed by its level, and their mean; the lower the better.

A quantile of level q costs q for each unit that it lies below the truth, and 1 - q for each that it lies above (Koenker
and Bassett, 1978). Of the median it is half the absolute error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, quantiles

NAME = "pinball"
TASK = "quantiles"
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)
COLUMNS = True


def per_row(y: npt.ArrayLike, p: npt.ArrayLike, *, columns: Sequence[str]) -> Floats:
    """Return the mean loss of each row over the levels, which are the names of the columns."""
    outcomes, estimates, levels = quantiles(y, p, columns)
    short = outcomes[:, None] - estimates
    return np.asarray(np.maximum(levels * short, (levels - 1) * short).mean(axis=1))


def value(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, columns: Sequence[str]
) -> float:
    """Return the metric.

    >>> value([10.0, 10.0], [[8.0, 11.0], [9.0, 12.0]], columns=["0.1", "0.5"])
    0.45
    """
    return float(mean(per_row(y, p, columns=columns), weight))
