"""Silhouette by centres: how much nearer rows are to the others of their cluster than to the next cluster, from -1 to 1.

Of a row, a is the distance to the centre of the other rows of its cluster, b that to the nearest other centre, and the value
(b - a) / max(a, b); of a row alone in its cluster it is 0. The metric is the mean (Hruschka and others, "Evolving clusters in
gene-expression data", 2006, call it simplified): it costs rows times clusters, not rows times rows. Centres are those of the
rows that are compared. NaN where there is one cluster only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats, mean, table, vector, weights

NAME = "simplified_silhouette"
TASK = "clustering"
GREATER_IS_BETTER = True
BOUNDS = (-1.0, 1.0)
#: A weight is how often a row is there: whether a row is alone in its cluster depends on it.
COUNTED = True


@dataclass(frozen=True, eq=False)
class _Clusters:
    """Rows in clusters; axis 0 of arrays is the rows, or the clusters."""

    #: Inputs, and the place of each row's cluster and of the nearest other one.
    x: Floats
    own: npt.NDArray[np.int64]
    next: npt.NDArray[np.int64]
    weight: Floats
    #: Weight and centre of each cluster.
    sizes: Floats
    centres: Floats
    #: Distance of each row to its own centre, to that of the others of its cluster, and to the nearest other centre.
    distance: Floats
    a: Floats
    b: Floats

    @property
    def values(self) -> Floats:
        """The value of each row."""
        widest = np.maximum(self.a, self.b)
        found = np.divide(self.b - self.a, widest, out=np.zeros(len(widest)), where=widest > 0)
        return np.where(self.sizes[self.own] > 1, found, 0.0)


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric; outcomes are the inputs, of shape (rows, columns), predictions the clusters.

    >>> round(value([[0.0], [1.0], [9.0], [10.0]], [0, 0, 1, 1]), 3)
    0.889
    """
    found = _clusters(y, p, weight)
    return float("nan") if found is None else float(mean(found.values, found.weight))


def influence(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Floats:
    """Return how far each row moves the metric, of shape (rows,): by its own value, and by the centre that it draws to itself."""
    found = _clusters(y, p, weight)
    if found is None:
        return np.full(len(np.asarray(p)), np.nan)
    by_a, by_b = _slopes(found)
    clusters, total = range(len(found.sizes)), found.weight.sum()
    grown = np.maximum(found.sizes - 1, 1)
    towards_own = (
        _directions(found, found.own, found.distance) * (by_a * (found.sizes / grown)[found.own])[:, None]
    )
    towards_next = _directions(found, found.next, found.b) * by_b[:, None]
    pulled = np.zeros_like(found.centres)
    np.add.at(pulled, found.own, towards_own * found.weight[:, None])
    np.add.at(pulled, found.next, towards_next * found.weight[:, None])
    shrunk = by_a * found.distance * found.weight
    spread = np.array([-shrunk[found.own == one].sum() for one in clusters]) / grown**2
    away = found.x - found.centres[found.own]
    moved = (pulled[found.own] * away).sum(axis=1) / found.sizes[found.own] + spread[found.own]
    whole = found.values - float(mean(found.values, found.weight)) + moved
    return np.asarray(whole - (found.weight @ whole) / total)


def _clusters(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None) -> _Clusters | None:
    x, said = table(y, what="inputs"), vector(p, what="predictions")
    if len(x) != len(said) or not len(x):
        msg = f"There are {len(said):,} predictions for {len(x):,} rows. Expected one for each, and a row."
        raise InvalidInput(msg)
    given = weights(weight, rows=len(x))
    _, own = np.unique(said, return_inverse=True)
    sizes = np.bincount(own, weights=given).astype(np.float64)
    if (sizes > 0).sum() < 2:
        return None
    sums = np.column_stack([np.bincount(own, weights=given * column) for column in x.T])
    centres = sums / np.where(sizes > 0, sizes, np.nan)[:, None]
    apart = np.sqrt(((x[:, None, :] - centres[None]) ** 2).sum(axis=2))
    rows = np.arange(len(x))
    distance = np.nan_to_num(apart[rows, own])
    apart[rows, own] = np.inf
    apart[np.isnan(apart)] = np.inf
    nearest = apart.argmin(axis=1)
    return _Clusters(
        x=x,
        own=own,
        next=nearest,
        weight=given,
        sizes=sizes,
        centres=np.nan_to_num(centres),
        distance=distance,
        a=distance * (sizes / np.maximum(sizes - 1, 1))[own],
        b=apart[rows, nearest],
    )


def _slopes(found: _Clusters) -> tuple[Floats, Floats]:
    """Return the derivative of each row's value by a and by b."""
    a, b = np.maximum(found.a, 1e-300), np.maximum(found.b, 1e-300)
    alone = found.sizes[found.own] <= 1
    by_a, by_b = np.where(a < b, -1 / b, -b / a**2), np.where(a < b, a / b**2, 1 / a)
    unclear = alone | (np.maximum(found.a, found.b) <= 0)
    return np.where(unclear, 0.0, by_a), np.where(unclear, 0.0, by_b)


def _directions(found: _Clusters, which: npt.NDArray[np.int64], distance: Floats) -> Floats:
    """Return the derivative of a distance to a centre by that centre: a unit vector, or nothing at the centre."""
    away = found.centres[which] - found.x
    far = distance[:, None]
    return np.divide(away, far, out=np.zeros_like(away), where=far > 0)
