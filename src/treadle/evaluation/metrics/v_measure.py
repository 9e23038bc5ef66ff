"""V-measure: how much clusters and known groups say of each other, from 0 to 1.

It is twice the mutual information over the two entropies, as `sklearn.metrics.v_measure_score`. It is not adjusted for chance:
of two clusterings that know nothing, the one with more clusters is a little higher. NaN where there is one of both only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, numbers, weights

NAME = "v_measure"
TASK = "clustering"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([0, 0, 1, 1], [5, 5, 7, 7])
    1.0
    """
    shared, groups, clusters, given = _surprises(y, p, weight)
    both = float(given @ (groups + clusters))
    return float(2 * (given @ shared) / both) if both > 0 else float("nan")


def prepare(y: npt.ArrayLike, p: npt.ArrayLike) -> Callable[[Floats], float]:
    """Return the metric as a function of the rows' weights; groups and clusters are numbered once."""
    codes = _codes(y, p)

    def weighted(weight: Floats) -> float:
        group, cluster, cell = (
            _entropy(np.bincount(one, weights=weight).astype(np.float64)) for one in codes
        )
        return 2 * (group + cluster - cell) / (group + cluster) if group + cluster > 0 else float("nan")

    return weighted


def influence(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Floats:
    """Return how far each row moves the metric, of shape (rows,).

    A row moves an entropy by its own surprise less the entropy, and the mutual information likewise.
    """
    shared, groups, clusters, given = _surprises(y, p, weight)
    both, information = float(given @ (groups + clusters)), float(given @ shared)
    if both <= 0:
        return np.full(len(given), np.nan)
    return np.asarray(2 * ((shared - information) - information * (groups + clusters - both) / both) / both)


def _surprises(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return of each row the information that is shared, the surprise of its group and of its cluster, and its share."""
    codes = _codes(y, p)
    given = weights(weight, rows=len(codes[0]))
    share = given / given.sum()
    held = [np.bincount(one, weights=share)[one] for one in codes]
    groups, clusters, cells = (-np.log(np.where(one > 0, one, 1.0)) for one in held)
    return groups + clusters - cells, groups, clusters, share


def _codes(y: npt.ArrayLike, p: npt.ArrayLike) -> list[npt.NDArray[np.int64]]:
    """Return the number of each row's group, of its cluster, and of both together."""
    truth, said = numbers(y, p)
    _, group = np.unique(truth, return_inverse=True)
    _, cluster = np.unique(said, return_inverse=True)
    _, cell = np.unique(group * (cluster.max() + 1) + cluster, return_inverse=True)
    return [group, cluster, cell]


def _entropy(counts: Floats) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share @ np.log(share)))
