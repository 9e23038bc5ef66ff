"""Micro F1: the harmonic mean of precision and recall over the labels of all rows together; a label of many rows counts more.

NaN where no label holds and none was said to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, labels, mean, ratio

NAME = "micro_f1"
TASK = "multilabel"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return, for each row, the labels that were said and hold, and those that were said plus those that hold."""
    outcomes, chances = labels(y, p)
    said = chances > 0.5
    return np.column_stack([(said * outcomes).sum(axis=1), (said + outcomes).sum(axis=1)])


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    return 2 * ratio(means[..., 0], means[..., 1])


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([[1, 0], [1, 1]], [[0.9, 0.8], [0.2, 0.7]])
    0.6666666666666666
    """
    return float(combine(mean(terms(y, p), weight)))
