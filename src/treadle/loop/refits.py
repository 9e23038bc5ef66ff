"""Trainings of a replay: a fit depends on the rows that it sees and the moment only, so policies that meet in both share it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
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
from treadle.training.tasks.forecast import Forecast


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
    #: Whether the training function asked for its window: another one with the same rows may then give another model.
    asked_window: bool = False


class Fits:
    """Trains at moments of a history, each window once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._made: dict[str, Fit] = {}
        #: By moment and end: the fit on all rows that there were.
        self._whole: dict[str, Fit] = {}
        #: How often a fit was asked for; less `count`, those that were shared.
        self.asked = 0

    @property
    def count(self) -> int:
        """How many fits were made."""
        return len(self._distinct)

    @property
    def seconds(self) -> float:
        """How long they took."""
        return sum(fit.seconds for fit in self._distinct.values())

    @property
    def _distinct(self) -> dict[str, Fit]:
        return {fit.key: fit for fit in self._made.values()}

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
            self._made[key] = self._alike(moment, known, window) or self._new(moment, known, window, key=key)
        return self._made[key]

    def _new(self, moment: datetime, known: Known, window: Window, *, key: str) -> Fit:
        assert known.until is not None
        rows = self._history.rows(Window(start=window.start, end=known.until), known_at=moment)
        made = fit(self._history, rows, window, moment=moment, key=key)
        if self._sees_all(window):
            self._whole[_moment_of(moment, known, window)] = made
        return made

    def _alike(self, moment: datetime, known: Known, window: Window) -> Fit | None:
        """Return the fit on the same rows under another window, where the training function did not ask for that."""
        found = self._whole.get(_moment_of(moment, known, window)) if self._sees_all(window) else None
        return None if found is None or found.asked_window else replace(found, window=window)

    def _sees_all(self, window: Window) -> bool:
        """Return whether a window reaches to the first row; what a forecast sees depends on more than its rows."""
        if isinstance(self._history.model.task, Forecast):
            return False
        return window.start is None or window.start <= self._history.bounds[0]


def _moment_of(moment: datetime, known: Known, window: Window) -> str:
    return digest_of([moment, known.until, window.end, window.half_life])


class _Watched(TrainingData):
    """Training data that remember whether their window was asked for, alone or with all the rest."""

    def __getattribute__(self, name: str) -> Any:
        if name in _TELLING:
            object.__getattribute__(self, "__dict__")["_asked"] = True
        return super().__getattribute__(name)


#: Attributes that tell the window: the copy of an object, and what looks into it, as a pickle or `vars`.
_TELLING = {"window", "__dict__", "__getstate__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"}


def _watched(data: TrainingData) -> _Watched:
    return _Watched(**{one.name: getattr(data, one.name) for one in fields(data)})


def _was_asked(data: _Watched) -> bool:
    return "_asked" in object.__getattribute__(data, "__dict__")


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
        watched = _watched(data)
        estimator = model(watched, dict(model.params), context)
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
        asked_window=_was_asked(watched),
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
