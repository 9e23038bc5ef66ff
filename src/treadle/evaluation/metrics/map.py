"""Mean average precision: of each query the precision at each relevant row, and the mean over these and over queries.

A row is relevant where its relevance is more than 0; a query without one counts as 0. Rows with equal scores share a
threshold. As `sklearn.metrics.average_precision_score` of each query.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, ratio
from treadle.evaluation.queries import Ranked, combine, ranked

NAME = "map"
TASK = "ranking"
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)
__all__ = ["combine", "terms", "value"]


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return what each row adds to the value of its query and to the number of queries, of shape (rows, 2)."""
    found = ranked(y, p)
    return found.terms(_precision(found))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([[1, 0], [0, 0], [2, 0], [0, 0]], [0.9, 0.8, 0.7, 0.1])
    0.8333333333333333
    """
    return float(combine(mean(terms(y, p), weight)))


def _precision(found: Ranked) -> Floats:
    is_relevant = (found.relevance > 0).astype(np.float64)
    last = np.append(found.tie[1:] != found.tie[:-1], True)
    end = np.flatnonzero(last)[found.tie]
    start = np.arange(len(end)) - found.place
    counted = np.cumsum(is_relevant)
    before = counted[start] - is_relevant[start]
    precision = (counted[end] - before) / (end - start + 1)
    return np.nan_to_num(ratio(found.by_query(is_relevant * precision), found.by_query(is_relevant)))
