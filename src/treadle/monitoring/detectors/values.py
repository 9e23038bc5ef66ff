"""Numbers that lie elsewhere than before: Anderson and Darling's distance of two samples, over stored cells."""

from __future__ import annotations

import math

import numpy as np

from treadle.monitoring import tails
from treadle.monitoring.detector import Case, Measured
from treadle.monitoring.summaries import Numeric, Text, shares

#: The mean of the largest difference of two distribution functions of the same rows, in standard errors (Kolmogorov).
_KOLMOGOROV = 0.8687


class Detector:
    """See a change in where numbers lie: higher or lower, wider or narrower. Of texts, in how long they are.

    The statistic weighs the squared difference of the two distribution functions by its precision (Anderson and Darling,
    1954; Scholz and Stephens, 1987), summed over the edges of the reference's cells. Where rows are moved by some standard deviations
    it needs 4 % more rows than the test of means that is best then, and it sees other changes too. Two different values: Fisher's
    exact test. The effect is Kolmogorov's: so large a share of the rows has moved past one value.
    """

    least = 0.02
    of = "column"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        before, now = case.before, case.now
        if isinstance(before, Text) and isinstance(now, Text):
            found = _measured(before.length, now.length)
            return None if found is None else _lengths(found)
        if not (isinstance(before, Numeric) and isinstance(now, Numeric)):
            return None
        return _measured(before, now)


def _measured(before: Numeric, now: Numeric) -> Measured | None:
    if len(before.counts) < 2:
        return None
    n, m = now.known, before.known
    if not n:
        return Measured(p=1.0, effect=0.0, floor=0.0, text="No row has a value.")
    apart = np.cumsum(now.counts)[:-1] / n - np.cumsum(before.counts)[:-1] / m
    widest = int(np.argmax(np.abs(apart)))
    effect = float(abs(apart[widest]))
    per_row = n * m / (n + m)
    if len(before.counts) == 2:
        p = tails.two_shares(int(now.counts[1]), n, int(before.counts[1]), m)
        share = before.counts[0] / m
        floor = math.sqrt(2 / math.pi * share * (1 - share) / per_row)
    else:
        p = _distance_p(before, now, apart, per_row)
        floor = _KOLMOGOROV / math.sqrt(per_row)
    return Measured(
        p=p, effect=effect, floor=floor, text=_text(before, now, widest), moved=_moved(before, apart, widest)
    )


def _distance_p(before: Numeric, now: Numeric, apart: np.ndarray, per_row: float) -> float:
    at, weight = shares(before.counts + now.counts)
    spread = at * (1 - at)
    inside = spread > 1e-12
    distance = per_row * float((weight[inside] * apart[inside] ** 2 / spread[inside]).sum())
    return tails.quadratic(distance, before.weights)


def _text(before: Numeric, now: Numeric, widest: int) -> str:
    edge = before.edges[widest]
    was, is_ = (float(one.counts[: widest + 1].sum()) / one.known for one in (before, now))
    middle = f"the median went from {before.quartiles[1]:.4g} to {now.quartiles[1]:.4g}"
    return f"{is_:.1%} of the rows are at most {edge:.4g}, {was:.1%} were; {middle}."


def _moved(before: Numeric, apart: np.ndarray, widest: int) -> dict[str, float]:
    edge = float(before.edges[widest])
    return {"at_most": edge} if apart[widest] > 0 else {"above": edge}


def _lengths(found: Measured) -> Measured:
    text = f"Of the texts' lengths in characters: {found.text}"
    return Measured(p=found.p, effect=found.effect, floor=found.floor, text=text)
