"""Interval width: the mean distance of the highest quantile from the lowest; of two that cover as much, the narrower is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, quantiles

NAME = "interval_width"
TASK = "quantiles"
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)
COLUMNS = True


def per_row(y: npt.ArrayLike, p: npt.ArrayLike, *, columns: Sequence[str]) -> Floats:
    """Return the width at each row."""
    _, estimates, _ = quantiles(y, p, columns)
    return np.asarray(np.ptp(estimates, axis=1))


def value(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, columns: Sequence[str]
) -> float:
    """Return the metric.

    >>> value([10.0, 10.0], [[8.0, 11.0], [11.0, 12.0]], columns=["0.1", "0.9"])
    2.0
    """
    return float(mean(per_row(y, p, columns=columns), weight))
