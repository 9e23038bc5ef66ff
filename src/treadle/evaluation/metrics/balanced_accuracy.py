"""Balanced accuracy: the mean, over classes, of the share of a class's rows that are right; rare ones count as much.

Classes that no row has are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, classes, mean, mean_of_defined, one_hot, ratio

NAME = "balanced_accuracy"
TASK = ("classification", "multiclass")
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return, for each row and class, whether the row has it and was said to, then whether the row has it."""
    if np.ndim(p) == 2:
        places, shares = classes(y, p)
        width, said = shares.shape[1], shares.argmax(axis=1)
    else:
        outcomes, chances = binary(y, p)
        places, width, said = outcomes.astype(np.int64), 2, (chances > 0.5).astype(np.int64)
    true = one_hot(places, width=width)
    return np.column_stack([true * one_hot(said, width=width), true])


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    right, there = np.split(means, 2, axis=-1)
    return mean_of_defined(ratio(right, there))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([0, 0, 0, 1], [0.1, 0.2, 0.9, 0.8])
    0.8333333333333333
    """
    return float(combine(mean(terms(y, p), weight)))
