"""The method `influence`: the interval from how far each row moves the metric, in one pass over the rows.

It is taken wherever no more particular method fits. See `treadle.evaluation.studentised`.
"""

from __future__ import annotations

from treadle.evaluation import studentised
from treadle.evaluation.pair import Pair

NAME = "influence"
RANK = 20


def unfit(pair: Pair) -> str:
    """Say why it cannot compare a pair; empty: it can."""
    if pair.influence is None:
        return f"{pair.measure.name} does not say how far a row moves it"
    return ""


def ends(pair: Pair, *, alpha: float) -> tuple[float, float]:
    """Return the interval's ends."""
    return studentised.ends(pair, alpha=alpha)
