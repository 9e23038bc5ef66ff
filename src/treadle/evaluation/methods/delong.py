"""The method `delong`: the interval of two areas under ROC curves of the same rows (DeLong and others, 1988).

It is the textbook's, for those who are asked for it. Below a thousand rows, or with few of one class, it is a little too
narrow; `influence`, which is the same but for that, is what is taken where no method is named.
"""

from __future__ import annotations

import math

from treadle.evaluation.pair import Pair
from treadle.evaluation.quantiles import normal

NAME = "delong"
RANK = 0


def unfit(pair: Pair) -> str:
    """Say why it cannot compare a pair; empty: it can."""
    if pair.measure.name != "roc_auc":
        return f"it is for roc_auc, not for {pair.measure.name}"
    if pair.first.ndim > 1:
        return "it is for two classes"
    return "rows are tied by groups" if pair.groups is not None else ""


def ends(pair: Pair, *, alpha: float) -> tuple[float, float]:
    """Return the interval's ends; NaN where the rows are of one class."""
    values = pair.influence
    if values is None or pair.counts is not None:
        return float("nan"), float("nan")
    variance = 0.0
    for only in (0.0, 1.0):
        placed = values[pair.y == only]
        if len(placed) < 2:
            return float("nan"), float("nan")
        variance += float(placed @ placed) / len(values) ** 2 * len(placed) / (len(placed) - 1)
    half = normal(1 - alpha / 2) * math.sqrt(variance)
    return pair.difference - half, pair.difference + half
