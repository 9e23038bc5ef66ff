"""Trainings of a replay: a fit depends on the rows that it sees and the moment only, so policies that meet in both share it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from treadle.core.ids import digest_of
from treadle.core.records import Window
from treadle.loop.contenders import Contender, looks_up
from treadle.loop.frames import Known
from treadle.loop.history import History
from treadle.loop.refit_workers import Trainers, Workers
from treadle.loop.refitting import Trained, Wanted, asked, learnt, remembers, trained
from treadle.training import code, environment
from treadle.training.tasks.forecast import Forecast


@dataclass(frozen=True, eq=False)
class Fit:
    """What one training left: who answers, and the baselines fitted beside it."""

    #: The hash by which it is found again.
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
    #: Why there was nothing to learn from; empty: there was.
    nothing: str = ""


class Fits:
    """Trains at moments of a history, each window once; what was trained in an earlier replay is not trained again.

    A context manager: at its end no worker is left.
    """

    def __init__(self, history: History, trainers: Trainers, *, end: datetime) -> None:
        """Take a history, where to train, and the end of the rows that anybody is asked about."""
        self._history, self._trainers, self._end = history, trainers, end
        self._made: dict[str, Fit] = {}
        #: By what a training sees: the first that was wanted.
        self._first: dict[str, Wanted] = {}
        self._about = _about(history, trainers)
        self._workers: Workers | None = None
        #: How often a fit was asked for; less `count`, those that were shared. And how many an earlier replay had made.
        self.asked = self.kept = 0

    def __enter__(self) -> Fits:
        """Start nothing yet."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End all workers."""
        if self._workers is not None:
            self._workers.__exit__(*error)

    @property
    def count(self) -> int:
        """How many fits were made, now or in an earlier replay."""
        return len(self._distinct)

    @property
    def seconds(self) -> float:
        """How long they took."""
        return sum(fit.seconds for fit in self._distinct.values())

    @property
    def _distinct(self) -> dict[str, Fit]:
        return {fit.key: fit for fit in self._made.values()}

    def start(self, moment: datetime, known: Known, rule: Any) -> None:
        """Let a training begin that will be asked for."""
        if isinstance(self._history.model.task, Forecast):
            return
        wanted = self._wanted(moment, known, rule)
        if self._leader(wanted).key == wanted.key and wanted.key not in self._made:
            self._begin(wanted)

    def at(self, moment: datetime, known: Known, rule: Any) -> Fit:
        """Return the training at a moment on the window that a rule takes of what was known then."""
        self.asked += 1
        wanted = self._wanted(moment, known, rule)
        if wanted.key not in self._made:
            self._made[wanted.key] = (
                self._ahead(wanted)
                if isinstance(self._history.model.task, Forecast)
                else self._shared(wanted)
            )
        return self._made[wanted.key]

    def _wanted(self, moment: datetime, known: Known, rule: Any) -> Wanted:
        assert known.until is not None
        span = self._history.model.forward_span
        window = rule.at(known.until - span)
        until = known.until if span else window.end
        told = [moment, window.start, window.end, window.half_life, until, self._end]
        key = digest_of([self._about, *told])
        return Wanted(key=key, moment=moment, window=window, until=until, end=self._end)

    def _leader(self, wanted: Wanted) -> Wanted:
        """Return the first training that was wanted on the same rows at the same moment."""
        window = wanted.window
        reach = Window(start=window.start, end=wanted.until)
        places = self._history.past.within(reach, known_at=wanted.moment)
        seen = hashlib.sha256(places.data).hexdigest()
        what = digest_of([wanted.moment, window.end, window.half_life, wanted.until, seen])
        return self._first.setdefault(what, wanted)

    def _shared(self, wanted: Wanted) -> Fit:
        """Return the fit on the same rows under another window, where the training function did not ask for that."""
        first = self._leader(wanted)
        if first.key != wanted.key:
            if first.key not in self._made:
                self._made[first.key] = self._new(first)
            if not self._made[first.key].asked_window:
                return replace(self._made[first.key], window=wanted.window)
        return self._new(wanted)

    def _begin(self, wanted: Wanted) -> None:
        found = self._trainers.cache.get(wanted.key)
        if found is not None:
            return
        self._at_work.start(wanted)

    def _new(self, wanted: Wanted) -> Fit:
        cache, past = self._trainers.cache, self._history.past
        found = cache.get(wanted.key)
        if found is None:
            found = self._at_work.result(wanted)
            cache.put(wanted.key, found)
        else:
            self.kept += 1
        reach = Window(start=wanted.window.start, end=wanted.until)
        rows = past.rows[past.within(reach, known_at=wanted.moment)]
        return Fit(
            key=wanted.key,
            at=wanted.moment,
            window=wanted.window,
            rows=found.left.rows,
            seconds=found.left.seconds,
            candidate=remembers(found, asked(past, wanted)),
            baselines={f"baseline:{one.name}": looks_up(one) for one in found.left.baselines},
            test=rows.filter(pl.col("_split") == "test"),
            asked_window=found.left.asked_window,
            nothing=found.left.nothing,
        )

    @property
    def _at_work(self) -> Workers:
        if self._workers is None:
            self._workers = Workers(self._history.model, self._history.past, self._trainers)
        return self._workers

    def _ahead(self, wanted: Wanted) -> Fit:
        """Train a forecast, whose truth is of each moment: it is read from the tables, and asked when it is asked."""
        reach = Window(start=wanted.window.start, end=wanted.until)
        rows = self._history.rows(reach, known_at=wanted.moment)
        made = trained(self._history.model, learnt(self._history.model, rows, wanted.window))
        return Fit(
            key=wanted.key,
            at=wanted.moment,
            window=wanted.window,
            rows=len(made.data.train),
            seconds=made.seconds,
            candidate=_answers(made),
            baselines={f"baseline:{one.name}": looks_up(one) for one in made.baselines},
            test=rows.filter(pl.col("_split") == "test"),
            asked_window=made.asked_window,
        )


def _answers(made: Trained) -> Contender:
    return Contender(made.answer, made.data.classes, made.data.signature)


def _about(history: History, trainers: Trainers) -> str:
    """Return the digest of what decides a fit besides its window: declaration, code, data and environment."""
    model = history.model
    told: Mapping[str, Any] = {
        "model": model.spec(),
        "baselines": model.judging()["baselines"],
        "code": code.digest(model.function, root=trainers.root),
        "data": history.versions,
        "environment": environment.describe(),
    }
    return digest_of(told)
