"""Scores a version again, on the same never-trained-on rows of its run's own dataset versions, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from treadle.core.answers import scored
from treadle.core.records import ModelVersion, Record, Run
from treadle.core.servable import Servable
from treadle.evaluation.importance import importance
from treadle.evaluation.intervals import interval
from treadle.evaluation.pair import Pair
from treadle.evaluation.snapshots import Snapshot
from treadle.loop import judging
from treadle.loop.contenders import answers_with
from treadle.loop.frames import Frames
from treadle.loop.judging import BASELINE, CANDIDATE
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms

#: A column of at most so many different values divides the rows into slices, of which the largest are told.
MOST_LEVELS, MOST_SLICES = 40, 8
#: Rows that a slice needs.
LEAST_ROWS = 30
#: Rows and columns at most of which it is tried what the version owes to a column, and how often.
TRIED_ROWS, TRIED_COLUMNS, REPEATS = 5_000, 60, 3


class Score(Record, frozen=True, kw_only=True):
    """A metric of one contender on some rows."""

    #: `candidate` is the version itself; others are `baseline:<name>`.
    contender: str
    metric: str
    value: float
    #: Ends of the 95 % interval; None where there is none.
    low: float | None = None
    high: float | None = None
    #: Rows.
    n: int
    greater_is_better: bool
    #: `test` (hash split) or `forward` (after the training window).
    on: str
    #: The part of those rows, as `carrier=UA`; empty: all of them.
    slice: str = ""


class Owed(Record, frozen=True, kw_only=True):
    """How much worse the deciding metric gets when a column's values are dealt out anew."""

    column: str
    value: float
    #: Ends of the 95 % interval; None where there is none.
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Answered:
    """Rows of one kind with their truth, and what each contender answers."""

    rows: pl.DataFrame
    snapshot: Snapshot
    predictions: dict[str, np.ndarray]


def answered(
    model: Model, run: Run, version: ModelVersion, servable: Servable, rooms: Rooms
) -> dict[str, Answered]:
    """Let a version and its baselines answer the rows that its run was judged on: `test`, and `forward` if there are any.

    Raises:
        NotFound: the dataset version is no longer there.
    """
    found = {"test": judging.test_rows(model, run, rooms)}
    if run.forward is not None:
        found["forward"] = Frames(rooms.datasets).rows(model, versions=run.data, window=run.forward)
    number = run.data[model.data.name]
    contenders = judging.answering_with({CANDIDATE: servable}, version)
    return {
        on: Answered(rows, *judging.compared(model, rows, contenders, version=number, on=on))
        for on, rows in found.items()
        if rows.height
    }


def scores(part: Answered, model: Model) -> list[Score]:
    """Return every metric that the task reports, of every contender."""
    return [
        found for name in model.task.metrics for found in _scores(part, name, np.arange(part.rows.height))
    ]


def slices(part: Answered, model: Model, columns: Sequence[str]) -> list[Score]:
    """Return the task's own metric on the rows of each value of columns that have few: the largest slices of each."""
    found: list[Score] = []
    for column, value, rows in _slices(part.rows, columns):
        found += _scores(part, model.task.metric, rows, of=f"{column}={value}")
    return found


def owed(part: Answered, model: Model, servable: Servable) -> list[Owed]:
    """Return what a version owes to each of its inputs, most first, on at most 5,000 of the rows."""
    size = min(part.rows.height, TRIED_ROWS)
    chosen = np.sort(np.random.default_rng(0).choice(part.rows.height, size, replace=False))
    groups, names = part.snapshot.groups, part.snapshot.names
    if part.snapshot.horizon is not None:
        groups = part.snapshot.times
    fills = scored(servable.signature).name == "probabilities"
    asked = answers_with(servable)
    found = importance(
        lambda rows: asked.over(names, rows, fills=fills, source=CANDIDATE),
        part.rows[chosen],
        part.snapshot.y[chosen],
        on=part.snapshot.measure(model.task.metric),
        columns=list(servable.signature.names[:TRIED_COLUMNS]),
        groups=None if groups is None else groups[chosen],
        repeats=REPEATS,
    )
    return [
        Owed(column=column, value=value, low=_finite(low), high=_finite(high))
        for column, value, low, high in found.select("column", "importance", "low", "high").iter_rows()
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _scores(part: Answered, name: str, rows: np.ndarray, *, of: str = "") -> Iterator[Score]:
    measure, snapshot = part.snapshot.measure(name), part.snapshot
    groups = None if snapshot.groups is None else snapshot.groups[rows]
    for contender, given in part.predictions.items():
        pair = Pair(
            measure=measure,
            y=snapshot.in_unit(measure, snapshot.y)[rows],
            first=snapshot.in_unit(measure, given)[rows],
            groups=groups,
            times=None if snapshot.times is None else snapshot.times[rows],
            horizon=snapshot.horizon,
        )
        if not math.isfinite(pair.difference):
            continue
        found = interval(pair)
        yield Score(
            contender=contender,
            metric=name,
            value=found.first,
            low=_finite(found.low),
            high=_finite(found.high),
            n=found.n,
            greater_is_better=measure.greater_is_better,
            on=snapshot.on,
            slice=of,
        )


def _slices(rows: pl.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    for column in columns:
        values = rows[column].cast(pl.String)
        counted = values.value_counts(sort=True).filter(pl.col(column).is_not_null())
        if not 1 < counted.height <= MOST_LEVELS:
            continue
        for value, count in counted.head(MOST_SLICES).iter_rows():
            if count >= LEAST_ROWS:
                yield column, value, (values == value).fill_null(value=False).arg_true().to_numpy()


def better(one: Score, other: Score) -> bool:
    """Say whether a score is better than another of the same metric, on their values alone."""
    return (one.value > other.value) == one.greater_is_better and one.value != other.value


def baselines(found: Sequence[Score]) -> tuple[str, ...]:
    """Return the names of the baselines among scores' contenders."""
    return tuple(dict.fromkeys(s.contender for s in found if s.contender.startswith(f"{BASELINE}:")))
