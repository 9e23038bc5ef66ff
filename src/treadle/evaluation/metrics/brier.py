"""Brier score: the mean squared distance of a probability from what happened; the lower the better.

Of several classes, the squared distances are added up, so the score of two classes is twice that of one probability; of
labels, each of which holds or not by itself, the score is their mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, classes, labels, mean, one_hot

NAME = "brier"
TASK = ("classification", "multiclass", "multilabel")
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the squared distance of each row."""
    if np.ndim(y) == 2:
        held, shares = labels(y, p)
        return np.asarray(((shares - held) ** 2).mean(axis=1))
    if np.ndim(p) == 2:
        places, shares = classes(y, p)
        return np.asarray(((shares - one_hot(places, width=shares.shape[1])) ** 2).sum(axis=1))
    outcomes, chances = binary(y, p)
    return (chances - outcomes) ** 2


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1, 0], [0.5, 0.0])
    0.125
    """
    return float(mean(per_row(y, p), weight))
