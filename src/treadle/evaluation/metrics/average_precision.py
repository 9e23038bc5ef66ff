"""Average precision: the precision at each threshold, weighted by the recall that it adds; NaN without a positive row.

It is the step-wise area under the precision-recall curve; rows of equal prediction share a threshold.
Of labels, the mean over those that hold in some row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, flags, labels, mean_of_defined, starts_of, weights

NAME = "average_precision"
TASK = ("classification", "multilabel", "anomaly")
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)
OPTIONS = ("scores",)
_TINY = float(np.finfo(np.float64).tiny)


def prepare(y: npt.ArrayLike, p: npt.ArrayLike, *, scores: bool = False) -> Callable[[Floats], float]:
    """Return the metric as a function of the rows' weights; the rows are sorted once."""
    if np.ndim(y) == 2:
        held, shares = labels(y, p)
        each = [prepare(one, said) for one, said in zip(held.T, shares.T, strict=True)]
        return lambda weight: float(mean_of_defined(np.array([one(weight) for one in each])))
    outcomes, chances = flags(y, p, scores=scores)
    order = np.argsort(-chances, kind="stable")
    positive = outcomes[order]
    starts = starts_of(chances[order])
    tied = len(starts) < len(order)

    def weighted(weight: Floats) -> float:
        ranked = weight[order]
        right = ranked * positive
        if tied:
            ranked, right = np.add.reduceat(ranked, starts), np.add.reduceat(right, starts)
        found, said = np.cumsum(right), np.cumsum(ranked)
        if found[-1] == 0:
            return float("nan")
        return float(right @ (found / np.maximum(said, _TINY)) / found[-1])

    return weighted


def influence(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, scores: bool = False
) -> Floats:
    """Return how far each row moves the metric, of shape (rows,); NaN without a positive row.

    It is the derivative of `sum(right * found / said) / all positive` by the row's weight: a row adds to what was said
    at its threshold and at each one below, and a positive one also to what was found.
    """
    if np.ndim(y) == 2:
        held, shares = labels(y, p)
        each = [influence(one, said, weight) for one, said in zip(held.T, shares.T, strict=True)]
        return mean_of_defined(np.column_stack(each))
    outcomes, chances = flags(y, p, scores=scores)
    given = weights(weight, rows=len(outcomes))
    order = np.argsort(-chances, kind="stable")
    starts = starts_of(chances[order])
    place = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    right = np.add.reduceat((given * outcomes)[order], starts)
    found, said = np.cumsum(right), np.maximum(np.cumsum(np.add.reduceat(given[order], starts)), _TINY)
    if not found[-1]:
        return np.full(len(outcomes), np.nan)
    precision = found / said
    average = right @ precision / found[-1]
    gained = np.cumsum((right / said)[::-1])[::-1]
    lost = np.cumsum((right * precision / said)[::-1])[::-1]
    moved = np.empty(len(order))
    moved[order] = outcomes[order] * (precision + gained - average)[place] - lost[place]
    return np.asarray(moved * given.sum() / found[-1])


def value(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, scores: bool = False
) -> float:
    """Return the metric.

    >>> value([1, 0, 1], [0.9, 0.8, 0.1])
    0.8333333333333333
    """
    metric = prepare(y, p, scores=scores)
    return metric(weights(weight, rows=len(np.asarray(y))))
