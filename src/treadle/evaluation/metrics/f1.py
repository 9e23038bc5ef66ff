"""F1: the harmonic mean of precision and recall; NaN where no row is positive or was said to be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, mean, ratio

NAME = "f1"
TASK = "classification"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return, for each row, whether it was said and is so, and whether it was said plus whether it is so."""
    outcomes, chances = binary(y, p)
    said = chances > 0.5
    return np.column_stack([said * outcomes, said + outcomes])


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    return 2 * ratio(means[..., 0], means[..., 1])


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1, 0, 1], [0.9, 0.8, 0.1])
    0.5
    """
    return float(combine(mean(terms(y, p), weight)))
