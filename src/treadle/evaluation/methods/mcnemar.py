"""The method `mcnemar`: for metrics that count hits, as accuracy: only rows on which the predictors differ speak.

The interval is Bonett and Price's (2012), Wald's with one row thought of besides for each side, which Fagerland and
others (2014) recommend. An end is drawn to 0 where the exact test of McNemar (1947) sees no difference.
"""

from __future__ import annotations

import math

import numpy as np

from treadle.evaluation.pair import Pair
from treadle.evaluation.quantiles import normal, sign_test

NAME = "mcnemar"
RANK = 40


def unfit(pair: Pair) -> str:
    """Say why it cannot compare a pair; empty: it can."""
    if pair.second is None or pair.scale != 1:
        return "it compares two predictors and no multiples"
    if pair.groups is not None:
        return "rows are tied by groups"
    if not _is_hits(pair):
        return f"{pair.measure.name} is no share of hits"
    return ""


def ends(pair: Pair, *, alpha: float) -> tuple[float, float]:
    """Return the interval's ends."""
    difference, n = _differences(pair), pair.n
    counts = np.ones(len(difference)) if pair.counts is None else pair.counts
    only_first, only_second = (float(counts[difference == side].sum()) for side in (1, -1))
    a, b = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = normal(1 - alpha / 2) * math.sqrt((a + b - (a - b) ** 2) / (n + 2))
    low, high = a - b - half, a - b + half
    if sign_test(round(only_first), round(only_second)) > alpha:
        low, high = min(low, 0.0), max(high, 0.0)
    return low, high


def _differences(pair: Pair) -> np.ndarray:
    first, second = pair.scored
    assert first.rows is not None
    assert second is not None
    assert second.rows is not None
    return first.rows - second.rows


def _is_hits(pair: Pair) -> bool:
    rows = [one.rows for one in pair.scored if one is not None]
    return all(values is not None and bool(((values == 0) | (values == 1)).all()) for values in rows)
