"""How good a version's answers were by stretch of time: estimated before outcomes are known, and beside what is known by now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from treadle.core.clock import parse_span
from treadle.core.drift import Estimate as Thought
from treadle.core.errors import NotFound
from treadle.core.records import Record
from treadle.loop.seen import Answers
from treadle.monitoring import estimation
from treadle.monitoring.estimation import Estimate, Estimator

#: Metrics that are the better the greater.
_GREATER = {"accuracy", "roc_auc"}


class Stretch(Record, frozen=True, kw_only=True):
    """A metric in a stretch of time."""

    #: The beginning of the stretch, and the rows in it.
    start: datetime
    metric: str
    n: int
    #: What it is estimated to be, the ends of the 95 % interval, and what it was on the rows kept apart at training.
    estimated: float
    low: float
    high: float
    before: float
    #: Rows whose outcome is known by now, and the metric on these; None: there are none.
    known: int
    realised: float | None = None


def stretches(estimator: Estimator, answers: Answers | None, *, every: str) -> list[Stretch]:
    """Return an estimate of each metric in each stretch, the oldest first; stretches are counted from 1970.

    Raises:
        NotFound: there are no answers.
    """
    parse_span(every)
    if answers is None or not len(answers.numbers):
        msg = "The version has answered none of these rows, so there is nothing to estimate. Take a longer window: --window all."
        raise NotFound(msg)
    starts = answers.time.dt.truncate(every)
    parts = [(start, (starts == start).to_numpy()) for start in starts.unique().sort()]
    return [one for start, rows in parts for one in _stretch(estimator, answers, start, rows)]


def whole(estimator: Estimator | None, answers: Answers | None) -> list[Estimate]:
    """Return an estimate of each metric over all answers; empty: nothing can be estimated."""
    if estimator is None or answers is None:
        return []
    return estimation.estimate(estimator, answers.numbers, answers.inputs)


def thought(found: Sequence[Estimate], metric: str) -> Thought | None:
    """Return what a policy asks for: the estimate of the metric that decides, else of the first that is a loss, as a loss.

    >>> thought([Estimate(metric="accuracy", value=0.7, low=0.6, high=0.8, n=10, before=0.9)], "accuracy").expected
    0.1
    """
    chosen = next((one for one in found if one.metric == metric), next(iter(found), None))
    if chosen is None:
        return None
    ends = (chosen.value, chosen.low, chosen.high, chosen.before)
    if chosen.metric in _GREATER:
        value, high, low, expected = (round(1 - end, 12) for end in ends)
    else:
        value, low, high, expected = ends
    return Thought(metric=chosen.metric, value=value, low=low, high=high, expected=expected)


def _stretch(estimator: Estimator, answers: Answers, start: datetime, rows: np.ndarray) -> list[Stretch]:
    given, truth = answers.numbers[rows], answers.truth[rows]
    known = ~np.isnan(truth)
    realised = estimation.realised(estimator, given[known], truth[known]) if known.any() else {}
    return [
        Stretch(
            start=start,
            metric=one.metric,
            n=one.n,
            estimated=one.value,
            low=one.low,
            high=one.high,
            before=one.before,
            known=int(known.sum()),
            realised=realised.get(one.metric),
        )
        for one in estimation.estimate(estimator, given, answers.inputs.filter(pl.Series(rows)))
    ]
