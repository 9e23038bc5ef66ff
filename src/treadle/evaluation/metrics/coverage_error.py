"""Coverage error: how far the share of rows below each quantile is from the quantile's level, on average over the levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, quantiles

NAME = "coverage_error"
TASK = "quantiles"
GREATER_IS_BETTER = False
BOUNDS = (0.0, 1.0)
COLUMNS = True
FOLDED = True


def terms(y: npt.ArrayLike, p: npt.ArrayLike, *, columns: Sequence[str]) -> Floats:
    """Return, for each row and level, whether the truth is at most the quantile, less the level."""
    outcomes, estimates, levels = quantiles(y, p, columns)
    return np.asarray((outcomes[:, None] <= estimates) - levels)


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    return np.asarray(np.abs(means).mean(axis=-1))


def value(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, columns: Sequence[str]
) -> float:
    """Return the metric.

    >>> value([1.0, 2.0, 3.0, 4.0], [[2.0], [2.0], [2.0], [2.0]], columns=["0.75"])
    0.25
    """
    return float(combine(mean(terms(y, p, columns=columns), weight)))
