"""Hamming loss: the share of labels about which the answer is wrong, on average over rows; the lower the better."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, labels, mean

NAME = "hamming"
TASK = "multilabel"
GREATER_IS_BETTER = False
BOUNDS = (0.0, 1.0)


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the share of each row's labels that are wrong; a probability above 0.5 says yes."""
    outcomes, chances = labels(y, p)
    return np.asarray(((chances > 0.5) != (outcomes == 1)).mean(axis=1))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([[1, 0], [0, 0]], [[0.9, 0.8], [0.2, 0.1]])
    0.25
    """
    return float(mean(per_row(y, p), weight))
