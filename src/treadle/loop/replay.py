"""What a policy would have done over the history, with only what was known at each moment.

The history is walked in steps. At each moment the policy decides on the rows whose outcome had arrived by then; when
it fires, the training function is called on the window that it would have seen, the gates judge, and the winner
answers from then on. Every answer is scored on rows that came after it was trained. Nothing is registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.ids import new_id
from treadle.core.records import Decision, Record, Verdict, Window
from treadle.evaluation.own import measure_of
from treadle.loop.contenders import Contender
from treadle.loop.courses import Course, foresee
from treadle.loop.grid import Plan
from treadle.loop.history import History, moments
from treadle.loop.judging import compared
from treadle.loop.models import Model
from treadle.loop.refit_workers import Trainers
from treadle.loop.refits import Fit, Fits
from treadle.loop.rooms import Rooms

FRESH, FROZEN = "fresh", "frozen"


class Training(Record, frozen=True, kw_only=True):
    """One firing of the policy in a replay."""

    at: datetime
    reason: str
    #: The dataset version that was the newest then; None: all of it was brought in later.
    data_version: int | None = None
    window: Window
    rows: int
    passed: bool
    verdicts: tuple[Verdict, ...]


class Week(Record, frozen=True, kw_only=True):
    """The mean loss of each contender over the rows of one stretch of the history."""

    start: datetime
    rows: int
    loss: dict[str, float]


class Replay(Record, frozen=True, kw_only=True):
    """What a policy would have done."""

    model: str
    metric: str
    since: datetime
    until: datetime
    trainings: tuple[Training, ...]
    #: What the policy said at each moment, also where it did not fire.
    decisions: tuple[Decision, ...] = ()
    weeks: tuple[Week, ...]
    #: Mean loss over all scored rows, by contender.
    loss: dict[str, float]


@dataclass
class _State:
    """Who would answer at the moment that the replay has come to."""

    course: Course
    gates: tuple[Any, ...]
    answering: dict[str, Contender] = field(default_factory=dict)
    trainings: list[Training] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    scored: list[pl.DataFrame] = field(default_factory=list)


def replay(
    model: Model,
    rooms: Rooms,
    plan: Plan,
    trainers: Trainers,
    *,
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
) -> Replay:
    """Walk the history of a model's dataset; see the module.

    `since` and `until` default to the whole history; `step` is how often the policy looks.

    Raises:
        NotFound: no row has a known outcome.
        InvalidInput: `until` is not after `since`, or `step` is not longer than nothing.
        RunFailed: a training failed.
    """
    history = History(model, rooms)
    begin, end = stretch(history, since=since, until=until, step=step)
    state, walked = _State(Course(model.name, plan.policy), plan.gates), list(moments(begin, end, step))
    with Fits(history, trainers, end=end) as fits:
        foresee(history, fits, [plan.policy], walked)
        for number, moment in enumerate(walked):
            rooms.progress.advance(number, len(walked))
            _look(history, rooms, fits, state, moment)
            _score(history, state, Window(start=moment, end=min(moment + step, end)))
    return _summary(history, state, begin, end)


def stretch(
    history: History, *, since: datetime | None, until: datetime | None, step: timedelta
) -> tuple[datetime, datetime]:
    """Return the beginning and the end of what is walked through.

    Raises:
        NotFound: no row has a known outcome.
        InvalidInput: `until` is not after `since`, or `step` is not longer than nothing.
    """
    if step <= timedelta(0):
        msg = f"A replay's step is {step}; expected longer than nothing, as '1d'."
        raise InvalidInput(msg, field="step")
    begin, end = history.bounds
    begin, end = since or begin, min(until, end) if until else end
    if begin >= end:
        msg = f"A replay from {begin:%Y-%m-%d} until {end:%Y-%m-%d} has no time in it."
        raise InvalidInput(msg, field="until")
    return begin, end


def _look(history: History, rooms: Rooms, fits: Fits, state: _State, moment: datetime) -> None:
    known = history.known(moment)
    decision = state.course.decide(moment, known)
    state.decisions.append(decision)
    if not decision.due or known.until is None:
        return
    rooms.progress.step(f"{moment:%Y-%m-%d}: {decision.reason}")
    fit = fits.at(moment, known, state.course.policy.window)
    if fit.nothing:
        rooms.progress.step(fit.nothing)
        state.course.failed(moment)
        return
    champion = state.answering.get(FRESH)
    found = judge(history, rooms, fit, champion, state.gates)
    passed = all(verdict.passed for verdict in found)
    if passed:
        state.answering.setdefault(FROZEN, fit.candidate)
        state.answering.update({FRESH: fit.candidate} | fit.baselines)
    state.trainings.append(
        Training(
            at=decision.at,
            reason=decision.reason,
            data_version=history.version_at(moment),
            window=fit.window,
            rows=fit.rows,
            passed=passed,
            verdicts=found,
        )
    )
    state.course.ran(moment, known, seconds=fit.seconds)


def judge(
    history: History, rooms: Rooms, fit: Fit, champion: Contender | None, gates: Sequence[Any]
) -> tuple[Verdict, ...]:
    """Let gates decide about a fit beside the champion of its moment, on test rows that were known then."""
    contenders = {"candidate": fit.candidate}
    if champion is not None:
        contenders["champion"] = champion
    contenders |= fit.baselines
    tested, predictions = compared(history.model, fit.test, contenders, version=history.version)
    return rooms.verdicts.judge(
        tested, predictions, gates, run=new_id("replay"), task=history.model.task, parents=()
    )


def _score(history: History, state: _State, window: Window) -> None:
    if not state.answering or window.start == window.end:
        return
    rows = history.rows(window)
    if rows.is_empty():
        return
    model, version = history.model, history.version
    tested, predictions = compared(model, rows, state.answering, version=version, columns=history.columns)
    answers = {name: pl.Series(values) for name, values in predictions.items()}
    at = rows[model.data.time_column]
    y = tested.y
    if model.task.ties:  # the queries of each stretch are numbered anew
        y = y + np.array([0, sum(part.height for part in state.scored)])
    state.scored.append(pl.DataFrame({"at": at, "y": pl.Series(y), **answers}))


def _summary(history: History, state: _State, since: datetime, until: datetime) -> Replay:
    model, columns = history.model, history.columns if state.scored else ()
    weeks: tuple[Week, ...] = ()
    loss: dict[str, float] = {}
    if state.scored:
        scored = pl.concat(state.scored, how="diagonal").sort("at")
        loss = _losses(model, scored, columns)
        parts = scored.group_by_dynamic("at", every="1w").agg(pl.all().exclude("at"))
        weeks = tuple(
            Week(start=start, rows=part.height, loss=_losses(model, part, columns))
            for start in parts["at"]
            for part in [
                scored.filter(pl.col("at").is_between(start, start + timedelta(days=7), closed="left"))
            ]
        )
    return Replay(
        model=model.name,
        metric=model.task.metric,
        since=since,
        until=until,
        trainings=tuple(state.trainings),
        decisions=tuple(state.decisions),
        weeks=weeks,
        loss=loss,
    )


def _losses(model: Model, scored: pl.DataFrame, columns: tuple[str, ...]) -> dict[str, float]:
    """Return each contender's metric over the rows that it answered."""
    measure = measure_of(model.task.metric, model.task).over(columns)
    names = [name for name in scored.columns if name not in {"at", "y"}]
    answered = {name: scored.select("y", name).drop_nulls() for name in names}
    return {
        name: measure.value(rows["y"], rows[name].to_numpy())
        for name, rows in answered.items()
        if rows.height
    }
