"""Scores a candidate beside champion and baselines on the same rows, and lets the gates decide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from treadle.core.records import ModelVersion, Run, Verdict, Window
from treadle.core.servable import Servable
from treadle.evaluation.gate import columns_for
from treadle.evaluation.own import measures_of
from treadle.evaluation.snapshots import Snapshot, digest_of_rows
from treadle.loop.ahead import SCALE
from treadle.loop.contenders import REMEDY, Contender, answers_with, lacks, looks_up, told
from treadle.loop.fitting import inputs_of
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.training.task import Task, column_of
from treadle.training.tasks.forecast import Forecast

#: Steps of a forecast at most whose errors are told apart.
MOST_STEPS = 48
CANDIDATE, CHAMPION, BASELINE = "candidate", "champion", "baseline"


@dataclass(frozen=True)
class Judgement:
    """Verdicts of all gates, and each contender's metrics on the test rows and on the forward rows."""

    verdicts: tuple[Verdict, ...]
    #: rows (`test`, `forward`) → contender → metric → value
    scores: dict[str, dict[str, dict[str, float]]]
    #: rows → number of them
    counts: dict[str, int]


def champion_of(model: Model, rooms: Rooms) -> ModelVersion | None:
    """Return the version that answers now, or None."""
    number = rooms.models.aliases(model.name).get(CHAMPION)
    return None if number is None else rooms.models.get(f"{model.name}/{number}")


def judge(
    model: Model, run: Run, candidate: ModelVersion, champion: ModelVersion | None, rooms: Rooms
) -> Judgement:
    """Compare on the never-trained-on rows of the run's own dataset versions."""
    # A champion that answers another kind of question cannot be compared with.
    same = champion is not None and _comparable(model, champion, candidate)
    if champion is not None and not same:
        rooms.progress.step(
            "  champion: it answers another question, or about other inputs, and counts as none"
        )
    contenders = {CANDIDATE: candidate} | ({CHAMPION: champion} if champion and same else {})
    loaded = {name: rooms.models.load(version) for name, version in contenders.items()}
    answering = answering_with(loaded, candidate)
    version = run.data[model.data.name]
    rows = test_rows(model, run, rooms)
    for contender, servable in loaded.items():
        lacking = lacks(servable.signature, rows)
        if lacking:
            say = "those rows count as most uncertain for it"
            rooms.progress.step(f"  {contender}: {told(lacking)}, and it needs one; {say}. {REMEDY}")
    tested, predictions = compared(model, rows, answering, version=version)
    verdicts = rooms.verdicts.judge(
        tested, predictions, model.gates, run=run.id, task=model.task, parents=_parents(contenders)
    )
    scores = {"test": _scores(rooms, tested, predictions, task=model.task)}
    counts = {"test": len(tested)}
    if run.forward is not None:
        rows = Frames(rooms.datasets).rows(model, versions=run.data, window=run.forward)
        ahead, said = compared(model, rows, answering, version=version, on="forward")
        counts["forward"] = len(ahead)
        if len(ahead):
            scores["forward"] = _scores(rooms, ahead, said, task=model.task)
    return Judgement(verdicts=verdicts, scores=scores, counts=counts)


def _scores(
    rooms: Rooms, tested: Snapshot, predictions: Mapping[str, np.ndarray], *, task: Task
) -> dict[str, dict[str, float]]:
    """Return each contender's metrics; of forecasts also how far they are off at each step, of many at some."""
    found = rooms.verdicts.scores(tested, predictions, task=task)
    if tested.horizon is None or not len(tested):
        return found
    horizon = tested.y.shape[1]
    for place in np.unique(
        np.linspace(0, horizon - 1, min(horizon, MOST_STEPS)).round().astype(int)
    ).tolist():
        for contender, p in predictions.items():
            off = float(np.abs(p[:, place] - tested.y[:, place]).mean())
            found[contender][f"mae_at_{tested.names[place]}"] = off
    return found


def flat(scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Return scores as a run's metrics, as `test.candidate.log_loss`."""
    return {
        f"{rows}.{contender}.{metric}": value
        for rows, contenders in scores.items()
        for contender, metrics in contenders.items()
        for metric, value in metrics.items()
    }


def _comparable(model: Model, champion: ModelVersion, candidate: ModelVersion) -> bool:
    """Return whether two versions answer the same question, where the answers are about the inputs, of the same inputs."""
    inputs = sorted(champion.signature.names), sorted(candidate.signature.names)
    return champion.task == candidate.task and (not model.task.of_inputs or inputs[0] == inputs[1])


def test_rows(model: Model, run: Run, rooms: Rooms) -> pl.DataFrame:
    """Return the never-trained-on rows of a run's dataset versions, up to the end of its forward test."""
    assert run.window is not None
    end = run.forward.end if run.forward else run.window.end
    whole = Window(start=run.window.start, end=end)
    return Frames(rooms.datasets).rows(model, versions=run.data, window=whole, split="test")


def snapshot(model: Model, rows: pl.DataFrame, *, task: Task, version: int, on: str = "test") -> Snapshot:
    """Return rows of one dataset version as what contenders are compared on, tied by the split's group, or else by the question."""
    horizon = _overlapping(model, rows)
    # Rows of one moment count as one, and the method for forecasts allows for how long errors stay alike.
    grouped = model.data.split.groups if model.data.split and horizon is None else ()
    tied = grouped or task.ties
    groups = rows.select(pl.struct(tied).rank("dense")).to_series().to_numpy() if tied else None
    moments = model.data.time
    return Snapshot(
        dataset=model.data.name,
        version=version,
        rows=digest_of_rows(rows.select(model.data.key_columns)),
        y=task.truth(rows, model.truth, inputs_of(model, rows)),
        groups=groups,
        names=task.outputs[-1].columns,
        on=on,
        columns={name: rows[name] for name in columns_for(model.gates) if name in rows.columns},
        times=None if moments is None else rows[moments].to_physical().to_numpy(),
        horizon=horizon,
        scales=rows[SCALE].to_numpy() if SCALE in rows.columns else None,
        measures=measures_of(task),
    )


def _overlapping(model: Model, rows: pl.DataFrame) -> int | None:
    """Return how many moments of forecasts lie within the horizon; None: rows are no forecasts."""
    if not isinstance(model.task, Forecast):
        return None
    gap = rows[model.data.time_column].unique().sort().diff().min()
    return math.ceil(model.task.span / gap) if isinstance(gap, timedelta) else 1


def compared(
    model: Model,
    rows: pl.DataFrame,
    contenders: Mapping[str, Contender],
    *,
    version: int,
    on: str = "test",
    columns: Sequence[str] = (),
) -> tuple[Snapshot, dict[str, np.ndarray]]:
    """Return the rows to compare on, and each contender's numbers for them, in the same columns for all, `columns` among them.

    A class that a contender does not know has the probability 0 there, also where the rows are of it. Forecasts are compared
    over the steps that they share. Who cannot give
    the columns of another kind, as quantiles of other levels, is left out.
    """
    task = model.task.over(
        [columns, *(one.columns for one in contenders.values())], column_of(rows, model.truth)
    )
    wide = _shared(task, contenders)
    fills = task.outputs[-1].name == "probabilities"
    predictions = {
        name: one.over(wide, rows, fills=fills, source=name)
        for name, one in contenders.items()
        if fills or set(wide) <= set(one.columns)
    }
    return snapshot(model, rows, task=task, version=version, on=on).of(wide), predictions


def _shared(task: Task, contenders: Mapping[str, Contender]) -> tuple[str, ...]:
    """Return the numbers of an answer to compare: of forecasts, the steps that all have who have any of them."""
    wide = task.outputs[-1].columns
    if not isinstance(task, Forecast):
        return wide
    held = [set(one.columns) for one in contenders.values() if set(one.columns) & set(wide)]
    return tuple(name for name in wide if all(name in names for names in held)) or wide


def answering_with(loaded: Mapping[str, Servable], candidate: ModelVersion) -> dict[str, Contender]:
    """Return loaded models, and a candidate's baselines, as contenders."""
    found = {name: answers_with(servable) for name, servable in loaded.items()}
    return found | {f"{BASELINE}:{lookup.name}": looks_up(lookup) for lookup in candidate.baselines}


def _parents(contenders: dict[str, ModelVersion]) -> tuple[str, ...]:
    return tuple(version.ref for version in contenders.values())
