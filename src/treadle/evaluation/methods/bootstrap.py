"""The method `bootstrap`: rows, or whole groups of rows, are drawn again and again, and both predictors scored on each.

It needs nothing of a metric but its value, so it is taken where a metric offers no more. See
`treadle.evaluation.bootstrap`.
"""

from __future__ import annotations

from treadle.evaluation import bootstrap
from treadle.evaluation.pair import Pair

NAME = "bootstrap"
RANK = 10


def unfit(pair: Pair) -> str:
    """Say why it cannot compare a pair; empty: it can."""
    return "" if pair.counts is None else "each row must be there by itself"


def ends(pair: Pair, *, alpha: float) -> tuple[float, float]:
    """Return the interval's ends."""
    return bootstrap.ends(pair, alpha=alpha)
