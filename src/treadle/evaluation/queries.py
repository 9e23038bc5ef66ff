"""Rows that are ranked query by query: who stands where, and the mean over queries as a ratio of means over rows.

The truth of a row is two numbers: its relevance, 0 or more, and the number of its query. A metric has a value for each
query; a row adds its query's value over the query's rows, and one over these, so that the ratio of the two means is the
mean over queries. Rows of one query are tied by a group wherever they are compared, and so stand or fall together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats, ratio, table, vector

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows by query, and in each the highest score first; axis 0 of each array is the rows in that order."""

    #: Where each row came from.
    order: Places
    #: The number of each row's query, 0, 1, 2, …, and how many rows each query has.
    query: Places
    sizes: Places
    #: The place of each row in its query, from 0 on.
    place: Places
    relevance: Floats
    #: The number of each row's tie: rows of one query with equal scores.
    tie: Places

    def by_query(self, values: Floats) -> Floats:
        """Return the sum over each query's rows."""
        return np.bincount(self.query, weights=values, minlength=len(self.sizes)).astype(np.float64)

    def by_tie(self, values: Floats) -> Floats:
        """Return the sum over the rows of each row's tie."""
        return np.asarray(np.bincount(self.tie, weights=values)[self.tie])

    def terms(self, values: Floats) -> Floats:
        """Return what each row, in the order in which it came, adds to the two means, of shape (rows, 2)."""
        share = 1.0 / self.sizes[self.query]
        found = np.empty((len(self.order), 2))
        found[self.order] = np.column_stack([values[self.query] * share, share])
        return found


def ranked(y: npt.ArrayLike, p: npt.ArrayLike) -> Ranked:
    """Return rows in the order of their queries and scores.

    Raises:
        InvalidInput: there are no rows, the lengths differ, a relevance is negative, or a number is not finite.
    """
    truth, scores = table(y, what="outcomes"), vector(p, what="predictions")
    if truth.shape != (len(scores), 2) or not len(scores):
        msg = (
            f"There are {len(scores):,} predictions for outcomes of shape {truth.shape}. Expected at least one row, and for each "
            "its relevance and the number of its query."
        )
        raise InvalidInput(msg)
    if (truth[:, 0] < 0).any():
        row = int(np.argmax(truth[:, 0] < 0))
        msg = f"The relevance in row {row} is {truth[row, 0]:g}. Expected 0 or more."
        raise InvalidInput(msg)
    return _in_order(truth[:, 0], truth[:, 1], scores)


def combine(means: Floats) -> Floats:
    """Return the mean over queries of the two means."""
    return ratio(means[..., 0], means[..., 1])


def ideal(y: npt.ArrayLike) -> Ranked:
    """Return the rows as the best ranker would order them."""
    relevance, queries = np.asarray(y, dtype=np.float64).T
    return _in_order(relevance, queries, relevance)


def _in_order(relevance: Floats, queries: Floats, scores: Floats) -> Ranked:
    order = np.lexsort((-scores, queries))
    held, said = queries[order], scores[order]
    first = np.append(True, held[1:] != held[:-1])
    query = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    tie = np.cumsum(first | np.append(True, said[1:] != said[:-1])) - 1
    return Ranked(
        order=order,
        query=query,
        sizes=np.diff(np.append(starts, len(order))),
        place=np.arange(len(order)) - starts[query],
        relevance=relevance[order],
        tie=tie,
    )
