"""What a policy would have done over the history, with only what was known at each moment.

The history is walked in steps. At each moment the policy decides on the rows whose outcome had arrived by then; when
it fires, the training function is called on the window that it would have seen, the gates judge, and the winner
answers from then on. Every answer is scored on rows that came after it was trained. Nothing is registered.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, NotFound
from treadle.core.ids import new_id
from treadle.core.records import Decision, Record, Verdict, Window
from treadle.evaluation.own import measure_of
from treadle.loop import fitting
from treadle.loop.ahead import apart
from treadle.loop.contenders import Contender, from_bound, looks_up
from treadle.loop.facts import Facts
from treadle.loop.frames import Frames
from treadle.loop.judging import compared
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.training.context import RunContext
from treadle.training.data import TrainingData

FRESH, FROZEN = "fresh", "frozen"


class Training(Record, frozen=True, kw_only=True):
    """One firing of the policy in a replay."""

    at: datetime
    reason: str
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
    weeks: tuple[Week, ...]
    #: Mean loss over all scored rows, by contender.
    loss: dict[str, float]


@dataclass
class _State:
    """Who would answer at the moment that the replay has come to."""

    #: What the numbers of an answer are called over the whole history, as every class that was ever seen.
    columns: tuple[str, ...] = ()
    answering: dict[str, Contender] = field(default_factory=dict)
    last_run: datetime | None = None
    rows_at_last_run: int = 0
    trainings: list[Training] = field(default_factory=list)
    scored: list[pl.DataFrame] = field(default_factory=list)


def replay(
    model: Model, rooms: Rooms, *, since: datetime | None, until: datetime | None, step: timedelta
) -> Replay:
    """Walk the history of a model's dataset; see the module.

    `since` and `until` default to the whole history; `step` is how often the policy looks.

    Raises:
        NotFound: no row has a known outcome.
        InvalidInput: `until` is not after `since`, or `step` is not longer than nothing.
    """
    if step <= timedelta(0):
        msg = f"A replay's step is {step}; expected longer than nothing, as '1d'."
        raise InvalidInput(msg, field="step")
    versions = {
        name: rooms.datasets.version(name).version
        for name in (model.data.name, *(view.name for view in model.features))
    }
    frames = Frames(rooms.datasets)
    begin, end = _bounds(model, rooms, frames, versions)
    begin, end = since or begin, min(until, end) if until else end
    if begin >= end:
        msg = f"A replay from {begin:%Y-%m-%d} until {end:%Y-%m-%d} has no time in it."
        raise InvalidInput(msg, field="until")
    state, moment = _State(columns=_columns(model, rooms, versions)), begin + step
    while moment <= end:
        rooms.progress.advance(int((moment - begin) / step), int((end - begin) / step))
        _look(model, rooms, frames, versions, state, moment)
        _score(model, frames, versions, state, Window(start=moment, end=min(moment + step, end)))
        moment += step
    return _summary(model, state, begin, end)


def _bounds(
    model: Model, rooms: Rooms, frames: Frames, versions: dict[str, int]
) -> tuple[datetime, datetime]:
    end = frames.known(model, versions[model.data.name]).until
    start = rooms.datasets.version(model.data.name).time_min
    if end is None or start is None:
        known = f" has a known {model.target!r}" if model.target else " is there"
        msg = f"No row of dataset {model.data.name!r}{known}, so there is no history to replay."
        raise NotFound(msg)
    return start, end


def _columns(model: Model, rooms: Rooms, versions: dict[str, int]) -> tuple[str, ...]:
    if model.truth != model.target or not model.target:
        return tuple(model.task.outputs[-1].columns)
    rows = rooms.datasets.scan(model.data.name, version=versions[model.data.name], outcome=True)
    seen = rows.select(pl.col(model.target).unique()).collect()[model.target]
    return tuple(model.task.over([], seen).outputs[-1].columns)


def _look(
    model: Model, rooms: Rooms, frames: Frames, versions: dict[str, int], state: _State, moment: datetime
) -> None:
    known = frames.known(model, versions[model.data.name], known_at=moment)
    decision = model.policy.decide(
        Facts(
            model=model.name,
            now=moment,
            rows=known.rows,
            rows_at_last_run=state.rows_at_last_run,
            last_run=state.last_run,
            last_attempt=state.last_run,
        )
    )
    if not decision.due or known.until is None:
        return
    rooms.progress.step(f"{moment:%Y-%m-%d}: {decision.reason}")
    last = known.until - model.forward_span
    whole = Window(start=model.policy.window.at(last).start, end=known.until)
    rows = frames.rows(model, versions=versions, window=whole, known_at=moment)
    _train(model, rooms, state, rows, decision, Window(start=whole.start, end=last))
    state.last_run, state.rows_at_last_run = moment, known.rows


def _train(
    model: Model, rooms: Rooms, state: _State, rows: pl.DataFrame, decision: Decision, window: Window
) -> None:
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
    candidate = _answers(estimator, fitting.settled(estimator, data))
    contenders = {"candidate": candidate}
    if FRESH in state.answering:
        contenders["champion"] = state.answering[FRESH]
    for lookup in fitting.baselines_of(model, data):
        contenders[f"baseline:{lookup.name}"] = looks_up(lookup)
    test = rows.filter(pl.col("_split") == "test")
    found = _judge(model, rooms, test, contenders)
    passed = all(verdict.passed for verdict in found)
    if passed:
        state.answering.setdefault(FROZEN, candidate)
        state.answering.update(
            {FRESH: candidate} | {n: f for n, f in contenders.items() if n.startswith("base")}
        )
    state.trainings.append(
        Training(
            at=decision.at,
            reason=decision.reason,
            window=window,
            rows=len(data.train),
            passed=passed,
            verdicts=found,
        )
    )


def _judge(
    model: Model, rooms: Rooms, test: pl.DataFrame, contenders: dict[str, Contender]
) -> tuple[Verdict, ...]:
    version = rooms.datasets.version(model.data.name).version
    tested, predictions = compared(model, test, contenders, version=version)
    return rooms.verdicts.judge(
        tested, predictions, model.gates, run=new_id("replay"), task=model.task, parents=()
    )


def _answers(estimator: Any, data: TrainingData) -> Contender:
    def answer(rows: pl.DataFrame) -> np.ndarray:
        found = np.asarray(data.task.predictions(estimator, data.encoded(rows)), dtype=np.float64)
        return from_bound(found, data.signature)

    return Contender(answer, data.classes, data.signature)


def _score(model: Model, frames: Frames, versions: dict[str, int], state: _State, window: Window) -> None:
    if not state.answering or window.start == window.end:
        return
    rows = frames.rows(model, versions=versions, window=window)
    if rows.is_empty():
        return
    version = versions[model.data.name]
    tested, predictions = compared(model, rows, state.answering, version=version, columns=state.columns)
    answers = {name: pl.Series(values) for name, values in predictions.items()}
    at = rows[model.data.time_column]
    y = tested.y
    if model.task.ties:  # the queries of each stretch are numbered anew
        y = y + np.array([0, sum(part.height for part in state.scored)])
    state.scored.append(pl.DataFrame({"at": at, "y": pl.Series(y), **answers}))


def _summary(model: Model, state: _State, since: datetime, until: datetime) -> Replay:
    weeks: tuple[Week, ...] = ()
    loss: dict[str, float] = {}
    if state.scored:
        scored = pl.concat(state.scored, how="diagonal").sort("at")
        loss = _losses(model, scored, state.columns)
        parts = scored.group_by_dynamic("at", every="1w").agg(pl.all().exclude("at"))
        weeks = tuple(
            Week(start=start, rows=part.height, loss=_losses(model, part, state.columns))
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
