"""Normalised discounted cumulative gain of the first `cut` rows of each query, and the mean over queries.

A row gains its relevance, divided by log2(2 + place) for places 0, 1, 2, …; the sum is divided by that of the best order.
A query without a relevant row counts as 0. Rows with equal scores gain what they do on average over their orders, so a
constant score has the value of a random order. As `sklearn.metrics.ndcg_score` of each query.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, ratio
from treadle.evaluation.queries import Ranked, combine, ideal, ranked

NAME = "ndcg"
TASK = "ranking"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)
OPTIONS = ("cut",)
__all__ = ["combine", "terms", "value"]


def terms(y: npt.ArrayLike, p: npt.ArrayLike, *, cut: int = 10) -> Floats:
    """Return what each row adds to the value of its query and to the number of queries, of shape (rows, 2)."""
    found = ranked(y, p)
    gained, best = _gain(found, cut), _gain(ideal(y), cut)
    return found.terms(np.nan_to_num(ratio(gained, best)))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, cut: int = 10) -> float:
    """Return the metric.

    >>> round(value([[1, 0], [0, 0], [2, 0]], [0.3, 0.2, 0.1]), 3)
    0.76
    """
    return float(combine(mean(terms(y, p, cut=cut), weight)))


def _gain(found: Ranked, cut: int) -> Floats:
    discount = np.where(found.place < cut, 1 / np.log2(2.0 + found.place), 0.0)
    average = found.by_tie(found.relevance) / found.by_tie(np.ones(len(discount)))
    return found.by_query(average * discount)
