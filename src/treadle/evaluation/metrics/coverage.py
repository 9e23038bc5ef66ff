"""Coverage: the share of rows whose truth lies between the lowest and the highest quantile, ends included.

Quantiles of 0.1 and 0.9 should hold 80 % of the rows: see `coverage_error` for how far that is from true. By itself a
greater coverage is only a wider interval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, quantiles

NAME = "coverage"
TASK = "quantiles"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)
COLUMNS = True


def per_row(y: npt.ArrayLike, p: npt.ArrayLike, *, columns: Sequence[str]) -> Floats:
    """Return 1 for each row whose truth lies inside, else 0."""
    outcomes, estimates, _ = quantiles(y, p, columns)
    inside = (outcomes >= estimates.min(axis=1)) & (outcomes <= estimates.max(axis=1))
    return np.asarray(inside, dtype=np.float64)


def value(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, columns: Sequence[str]
) -> float:
    """Return the metric.

    >>> value([10.0, 10.0], [[8.0, 11.0], [11.0, 12.0]], columns=["0.1", "0.9"])
    0.5
    """
    return float(mean(per_row(y, p, columns=columns), weight))
