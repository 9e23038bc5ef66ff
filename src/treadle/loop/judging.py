"""Scores a candidate beside champion and baselines on the same rows, and lets the gates decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.ids import digest_of
from treadle.core.records import ModelVersion, Run, Verdict, Window
from treadle.evaluation.snapshots import Snapshot
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms

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
    test = _test_rows(model, run, rooms)
    contenders = {CANDIDATE: candidate} | ({CHAMPION: champion} if champion else {})
    loaded = {name: rooms.models.load(version) for name, version in contenders.items()}
    snapshot = _snapshot(model, run, test)
    predictions = _predict(loaded, candidate, test)
    verdicts = rooms.verdicts.judge(
        snapshot, predictions, model.gates, run=run.id, task=model.task.name, parents=_parents(contenders)
    )
    scores = {"test": rooms.verdicts.scores(snapshot, predictions, task=model.task.name)}
    counts = {"test": test.height}
    if run.forward is not None:
        ahead = Frames(rooms.datasets).rows(model, versions=run.data, window=run.forward)
        counts["forward"] = ahead.height
        if ahead.height:
            forward = _snapshot(model, run, ahead)
            scores["forward"] = rooms.verdicts.scores(
                forward, _predict(loaded, candidate, ahead), task=model.task.name
            )
    return Judgement(verdicts=verdicts, scores=scores, counts=counts)


def _test_rows(model: Model, run: Run, rooms: Rooms) -> pl.DataFrame:
    assert run.window is not None
    end = run.forward.end if run.forward else run.window.end
    whole = Window(start=run.window.start, end=end)
    return Frames(rooms.datasets).rows(model, versions=run.data, window=whole, split="test")


def _snapshot(model: Model, run: Run, rows: pl.DataFrame) -> Snapshot:
    keys = rows.select(model.data.key_columns)
    groups = None
    if model.data.split is not None and model.data.split.group:
        groups = rows[model.data.split.group].to_numpy()
    return Snapshot(
        dataset=model.data.name,
        version=run.data[model.data.name],
        rows=digest_of([str(keys.height), str(keys.hash_rows(seed=0).sum())]),
        y=model.task.target(rows[model.target]),
        groups=groups,
    )


def _predict(loaded: dict[str, Any], candidate: ModelVersion, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    found = {name: scores_of(servable, rows) for name, servable in loaded.items()}
    for lookup in candidate.baselines:
        columns = {name: rows[name].to_list() for name in lookup.by}
        found[f"{BASELINE}:{lookup.name}"] = np.asarray(
            lookup.predict(columns, rows.height), dtype=np.float64
        )
    return found


def scores_of(servable: Any, rows: pl.DataFrame) -> np.ndarray:
    """Return a loaded model's probability of the positive class, or its estimate, for each row."""
    if rows.is_empty():
        return np.empty(0)
    answers: dict[str, np.ndarray] = servable.predict(servable.signature.encode(rows))
    return np.asarray(answers.get("probability", answers["prediction"]), dtype=np.float64)


def _parents(contenders: dict[str, ModelVersion]) -> tuple[str, ...]:
    return tuple(version.ref for version in contenders.values())
