"""Macro F1: the mean, over classes or labels, of the harmonic mean of precision and recall; each counts the same.

Classes that no row has and none was said to have are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, classes, labels, mean, mean_of_defined, one_hot, ratio

NAME = "macro_f1"
TASK = ("multiclass", "multilabel")
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return, for each row and class or label, whether it was said and is so, then whether it was said plus whether it is so."""
    if np.ndim(y) == 2:
        true, shares = labels(y, p)
        above = np.asarray(shares > 0.5, dtype=np.float64)
        return np.column_stack([above * true, above + true])
    places, shares = classes(y, p)
    width = shares.shape[1]
    said, true = one_hot(shares.argmax(axis=1), width=width), one_hot(places, width=width)
    return np.column_stack([said * true, said + true])


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    both, either = np.split(means, 2, axis=-1)
    return mean_of_defined(2 * ratio(both, either))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    0.6666666666666666
    """
    return float(combine(mean(terms(y, p), weight)))
