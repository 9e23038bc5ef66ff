"""Log loss: the mean surprise, in nats, at what happened; the lower the better, and 0 is perfect.

A class that a model does not know has the probability 0: it is surprised by 36 nats at each row of it. Of labels, it is
the mean over them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, classes, labels, mean

NAME = "log_loss"
TASK = ("classification", "multiclass", "multilabel")
GREATER_IS_BETTER = False
BOUNDS = (0.0, None)
_TINY = float(np.finfo(np.float64).eps)


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the surprise at each row; certainty is taken to be 1 - 2e-16, so a wrong one costs 36 nats."""
    if np.ndim(y) == 2:
        held, shares = labels(y, p)
        shares = np.clip(np.where(held == 1, shares, 1 - shares), _TINY, 1 - _TINY)
        return np.asarray(-np.log(shares).mean(axis=1))
    if np.ndim(p) == 2:
        places, shares = classes(y, p)
        return np.asarray(-np.log(np.clip(shares[np.arange(len(places)), places], _TINY, 1 - _TINY)))
    outcomes, chances = binary(y, p)
    chances = np.clip(chances, _TINY, 1 - _TINY)
    return np.asarray(-np.log(np.where(outcomes == 1, chances, 1 - chances)))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> round(value([1, 0], [0.5, 0.5]), 4)
    0.6931
    >>> round(value([2, 0], [[0.2, 0.2, 0.6], [0.5, 0.25, 0.25]]), 4)
    0.602
    """
    return float(mean(per_row(y, p), weight))
