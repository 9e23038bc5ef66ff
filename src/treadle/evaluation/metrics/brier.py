"""Brier score: the mean squared distance of a probability from what happened; the lower the better."""

from __future__ import annotations

import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, mean

NAME = "brier"
TASK = "classification"
GREATER_IS_BETTER = False


def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return the squared distance of each row."""
    outcomes, chances = binary(y, p)
    return (chances - outcomes) ** 2


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1, 0], [0.5, 0.0])
    0.125
    """
    return float(mean(per_row(y, p), weight))
