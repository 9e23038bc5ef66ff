"""Average precision: the precision at each threshold, weighted by the recall that it adds; NaN without a positive row.

It is the step-wise area under the precision-recall curve; rows of equal prediction share a threshold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, weights

NAME = "average_precision"
TASK = "classification"
GREATER_IS_BETTER = True
_TINY = float(np.finfo(np.float64).tiny)


def prepare(y: npt.ArrayLike, p: npt.ArrayLike) -> Callable[[Floats], float]:
    """Return the metric as a function of the rows' weights; the rows are sorted once."""
    outcomes, chances = binary(y, p)
    order = np.argsort(-chances, kind="stable")
    positive = outcomes[order]
    starts = np.flatnonzero(np.diff(-chances[order], prepend=-2.0))
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


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1, 0, 1], [0.9, 0.8, 0.1])
    0.8333333333333333
    """
    metric = prepare(y, p)
    return metric(weights(weight, rows=np.size(y)))
