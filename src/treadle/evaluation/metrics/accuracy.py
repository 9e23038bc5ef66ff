"""Accuracy: the share of rows whose more probable class is what happened; of labels, those of which every one is right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, classes, labels, mean

NAME = "accuracy"
TASK = ("classification", "multiclass", "multilabel")
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return 1 for each row that is right, else 0; a probability above 0.5 says yes, of several the largest counts."""
    if np.ndim(y) == 2:
        held, shares = labels(y, p)
        return np.asarray(((shares > 0.5) == (held == 1)).all(axis=1), dtype=np.float64)
    if np.ndim(p) == 2:
        places, shares = classes(y, p)
        return np.asarray(shares.argmax(axis=1) == places, dtype=np.float64)
    outcomes, chances = binary(y, p)
    return np.asarray((chances > 0.5) == (outcomes == 1), dtype=np.float64)


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1, 0, 0, 1], [0.9, 0.2, 0.7, 0.6])
    0.75
    """
    return float(mean(per_row(y, p), weight))
