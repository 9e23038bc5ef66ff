"""Trainings of a replay: a fit depends on the window and the moment only, so policies that meet in both share it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from treadle.core.clock import monotonic
from treadle.core.ids import digest_of
from treadle.core.records import Window
from treadle.loop import fitting
from treadle.loop.ahead import apart
from treadle.loop.contenders import Contender, from_bound, looks_up
from treadle.loop.frames import Known
from treadle.loop.history import History
from treadle.training.context import RunContext
from treadle.training.data import TrainingData


@dataclass(frozen=True, eq=False)
class Fit:
    """What one training left: who answers, and the baselines fitted beside it."""

    #: The hash of window and moment, by which it is found again.
    key: str
    at: datetime
    window: Window
    #: Rows that it has learnt from.
    rows: int
    seconds: float
    candidate: Contender
    baselines: dict[str, Contender]
    #: The never-trained-on rows of its window that were known then.
    test: pl.DataFrame = field(repr=False)


class Fits:
    """Trains at moments of a history, each window once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._made: dict[str, Fit] = {}
        #: How often a fit was asked for; less `count`, those that were shared.
        self.asked = 0

    @property
    def count(self) -> int:
        """How many fits were made."""
        return len(self._made)

    @property
    def seconds(self) -> float:
        """How long they took."""
        return sum(fit.seconds for fit in self._made.values())

    def at(self, moment: datetime, known: Known, rule: Any) -> Fit:
        """Return the training at a moment on the window that a rule takes of what was known then."""
        assert known.until is not None
        self.asked += 1
        model = self._history.model
        last = known.until - model.forward_span
        planned = rule.at(last)
        window = Window(start=planned.start, end=last, half_life=planned.half_life)
        key = digest_of([moment, known.until, window.start, window.end, window.half_life])
        if key not in self._made:
            whole = Window(start=window.start, end=known.until)
            rows = self._history.rows(whole, known_at=moment)
            self._made[key] = fit(self._history, rows, window, moment=moment, key=key)
        return self._made[key]


def fit(history: History, rows: pl.DataFrame, window: Window, *, moment: datetime, key: str) -> Fit:
    """Call the training function on the rows of a window; the test rows among them are kept aside."""
    model, begun = history.model, monotonic()
    time = model.data.time_column
    seen = apart(model, rows, until=window.end)
    seen = seen.filter(pl.col("_split").is_in(["train", "validation"]) & (pl.col(time) < window.end))
    with tempfile.TemporaryDirectory(prefix="treadle-replay-") as folder:
        data = TrainingData.build(
            seen,
            inputs=fitting.inputs_of(model, seen),
            target=model.truth,
            task=model.task,
            window=window,
            nullable=fitting.may_miss(model) | fitting.missing([rows]),
            time=time,
        )
        context = RunContext.detached(folder=Path(folder), seed=model.seed, params=dict(model.params))
        estimator = model(data, dict(model.params), context)
    settled = fitting.settled(estimator, data)
    lookups = fitting.baselines_of(model, data)
    return Fit(
        key=key,
        at=moment,
        window=window,
        rows=len(data.train),
        seconds=monotonic() - begun,
        candidate=_answers(estimator, settled),
        baselines={f"baseline:{lookup.name}": looks_up(lookup) for lookup in lookups},
        test=rows.filter(pl.col("_split") == "test"),
    )


def _answers(estimator: Any, data: TrainingData) -> Contender:
    def answer(rows: pl.DataFrame) -> np.ndarray:
        found = np.asarray(data.task.predictions(estimator, data.encoded(rows)), dtype=np.float64)
        return from_bound(found, data.signature)

    return Contender(_remembered(answer), data.classes, data.signature)


def _remembered(answer: Callable[[pl.DataFrame], np.ndarray]) -> Callable[[pl.DataFrame], np.ndarray]:
    """Return the same, which knows what it was asked last: policies that differ in gates alone ask the same rows."""
    last: list[tuple[pl.DataFrame, np.ndarray]] = []

    def asked(rows: pl.DataFrame) -> np.ndarray:
        if last and last[0][0] is rows:
            return last[0][1]
        found = answer(rows)
        last[:] = [(rows, found)]
        return found

    return asked
