"""Mean reciprocal rank: one over the place, from 1 on, of each query's first relevant row, and the mean over queries.

A row is relevant where its relevance is more than 0; a query without one counts as 0. Rows with equal scores stand in
a random order: what counts is the mean over these orders.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean
from treadle.evaluation.queries import Ranked, combine, ranked

NAME = "mrr"
TASK = "ranking"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)
__all__ = ["combine", "terms", "value"]


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return what each row adds to the value of its query and to the number of queries, of shape (rows, 2)."""
    found = ranked(y, p)
    return found.terms(_reciprocal(found))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([[0, 0], [1, 0], [1, 1], [0, 1]], [0.9, 0.8, 0.7, 0.1])
    0.75
    """
    return float(combine(mean(terms(y, p), weight)))


def _reciprocal(found: Ranked) -> Floats:
    """Return the value of each query.

    In the tie that holds the first relevant row, r of m rows are relevant and `above` rows stand above it. The first of the r
    is at place j of the m with the chance r / (m - j) times that of none before it.
    """
    is_relevant = (found.relevance > 0).astype(np.float64)
    in_tie = found.by_tie(is_relevant)
    queries, rows = np.unique(found.query[in_tie > 0], return_index=True)
    first = np.flatnonzero(in_tie > 0)[rows]
    relevant, size = in_tie[first], found.by_tie(np.ones(len(in_tie)))[first]
    above, none_yet = found.place[first], np.ones(len(first))
    expected = np.zeros(len(first))
    for place in range(int((size - relevant).max(initial=-1)) + 1):
        chance = none_yet * np.minimum(relevant / np.maximum(size - place, 1), 1)
        expected += chance / (above + place + 1)
        none_yet = none_yet - chance
    values = np.zeros(len(found.sizes))
    values[queries] = expected
    return values
