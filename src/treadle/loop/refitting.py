"""One training of a replay: fitted on what was known at a moment, and asked about every row that it may be judged by."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, RunFailed
from treadle.core.records import Lookup, Record, Window
from treadle.core.signature import Signature
from treadle.loop import fitting
from treadle.loop.ahead import apart
from treadle.loop.contenders import Contender, from_bound, lacks
from treadle.loop.history import PLACE, Past
from treadle.loop.models import Model
from treadle.store.ledger.tables import micros
from treadle.training.context import RunContext
from treadle.training.data import TrainingData

#: Rows that are answered at once.
_BLOCK = 65_536


class Wanted(Record, frozen=True, kw_only=True):
    """Which training is wanted."""

    #: Digest of all that decides its result, by which it is found again.
    key: str
    moment: datetime
    window: Window
    #: End (exclusive) of the rows that it is tested on.
    until: datetime
    #: End (exclusive) of the rows that it is asked about.
    end: datetime


class Left(Record, frozen=True, kw_only=True):
    """What a training left beside its answers."""

    #: Rows that it has learnt from, and the seconds that it took.
    rows: int = 0
    seconds: float = 0.0
    #: Whether the training function asked for its window: another one with the same rows may then give another model.
    asked_window: bool = False
    columns: tuple[str, ...] = ()
    signature: Signature | None = None
    baselines: tuple[Lookup, ...] = ()
    #: Why there was nothing to learn from; empty: there was.
    nothing: str = ""


@dataclass(frozen=True, eq=False)
class Refitted:
    """A training's answers, one for each row of `asked`; NaN where a row lacks what the model cannot do without."""

    left: Left
    answers: np.ndarray


@dataclass(frozen=True, eq=False)
class Trained:
    """A fitted estimator with what its question has to know of it."""

    estimator: Any
    data: TrainingData
    baselines: tuple[Lookup, ...]
    seconds: float
    asked_window: bool

    def answer(self, rows: pl.DataFrame) -> np.ndarray:
        """Answer rows."""
        encoded = self.data.encoded(rows)
        found = np.asarray(self.data.task.predictions(self.estimator, encoded), dtype=np.float64)
        return from_bound(found, self.data.signature)


def asked(past: Past, wanted: Wanted) -> np.ndarray:
    """Return the places of the rows that a training may be judged by: test rows, and all that came after its moment."""
    tested = (past.rows["_split"] == "test").fill_null(value=False).to_numpy()
    chosen = (tested | (past.time >= micros(wanted.moment))) & (past.time < micros(wanted.end))
    return np.flatnonzero(chosen)


def refit(model: Model, past: Past, wanted: Wanted, *, root: Path) -> Refitted:
    """Train on the rows of a window that were known at its moment, and answer.

    Raises:
        RunFailed: the training function failed; the message says where.
    """
    reach = Window(start=wanted.window.start, end=wanted.until)
    rows = past.rows[past.within(reach, known_at=wanted.moment)].drop(PLACE)
    try:
        data = learnt(model, rows, wanted.window)
    except InvalidInput as error:
        return Refitted(left=Left(nothing=str(error)), answers=np.empty(0))
    try:
        made = trained(model, data)
        answers = _answers(made, past.rows[asked(past, wanted)])
    except Exception as error:
        raise RunFailed(fitting.sentence(error, model, root=root)) from error
    left = Left(
        rows=len(made.data.train),
        seconds=made.seconds,
        asked_window=made.asked_window,
        columns=made.data.classes,
        signature=made.data.signature,
        baselines=made.baselines,
    )
    return Refitted(left=left, answers=answers)


def learnt(model: Model, rows: pl.DataFrame, window: Window) -> TrainingData:
    """Return what is learnt from of the rows of a window; the test rows among them are kept aside.

    Raises:
        InvalidInput: there is nothing to learn from.
    """
    seen = apart(model, rows, until=window.end)
    inside = pl.col(model.data.time_column) < window.end
    seen = seen.filter(pl.col("_split").is_in(["train", "validation"]) & inside)
    return fitting.data_of(model, seen, window, asked=[rows])


def trained(model: Model, data: TrainingData) -> Trained:
    """Call the training function."""
    begun, watched = monotonic(), _watched(data)
    with tempfile.TemporaryDirectory(prefix="treadle-replay-") as folder:
        context = RunContext.detached(folder=Path(folder), seed=model.seed, params=dict(model.params))
        estimator = model(watched, dict(model.params), context)
    return Trained(
        estimator=estimator,
        data=fitting.settled(estimator, data),
        baselines=fitting.baselines_of(model, data),
        seconds=monotonic() - begun,
        asked_window=_was_asked(watched),
    )


def _answers(made: Trained, rows: pl.DataFrame) -> np.ndarray:
    lacking = lacks(made.data.signature, rows)
    whole = np.ones(rows.height, dtype=bool)
    for name in lacking:
        whole &= rows[name].is_not_null().to_numpy()
    given = rows if whole.all() else rows.filter(pl.Series(whole))
    parts = [made.answer(given[start : start + _BLOCK]) for start in range(0, given.height, _BLOCK)]
    if not parts:
        return np.full(rows.height, np.nan)
    answers = np.concatenate(parts)
    if whole.all():
        return answers
    found = np.full((rows.height, *answers.shape[1:]), np.nan)
    found[whole] = answers
    return found


def remembers(refitted: Refitted, places: np.ndarray) -> Contender:
    """Return who answered as a contender: it knows its answers by the places of the rows."""

    def answer(rows: pl.DataFrame) -> np.ndarray:
        wanted = rows[PLACE].to_numpy()
        found = np.minimum(np.searchsorted(places, wanted), max(len(places) - 1, 0))
        if len(wanted) and not (len(places) and np.array_equal(places[found], wanted)):
            msg = "A fit of a replay was asked about rows that it has not answered."
            raise AssertionError(msg)
        return refitted.answers[found]

    return Contender(answer, refitted.left.columns, refitted.left.signature)


class _Watched(TrainingData):
    """Training data that remember whether their window was asked for, alone or with all the rest."""

    def __getattribute__(self, name: str) -> Any:
        if name in _TELLING:
            object.__getattribute__(self, "__dict__")["_asked"] = True
        return super().__getattribute__(name)


#: Attributes that tell the window: the copy of an object, and what looks into it, as a pickle or `vars`.
_TELLING = {"window", "__dict__", "__getstate__", "__reduce__", "__reduce_ex__", "__copy__", "__deepcopy__"}


def _watched(data: TrainingData) -> _Watched:
    values: Mapping[str, Any] = {one.name: getattr(data, one.name) for one in fields(data)}
    return _Watched(**values)


def _was_asked(data: _Watched) -> bool:
    return "_asked" in object.__getattribute__(data, "__dict__")
