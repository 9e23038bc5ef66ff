"""Scores a candidate beside champion and baselines on the same rows, and lets the gates decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.records import ModelVersion, Run, Verdict, Window
from treadle.evaluation.gate import columns_for
from treadle.evaluation.snapshots import Snapshot, digest_of_rows
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
    version = run.data[model.data.name]
    tested = snapshot(model, test, version=version)
    predictions = _predict(loaded, candidate, test)
    verdicts = rooms.verdicts.judge(
        tested, predictions, model.gates, run=run.id, task=model.task.name, parents=_parents(contenders)
    )
    scores = {"test": rooms.verdicts.scores(tested, predictions, task=model.task.name)}
    counts = {"test": test.height}
    if run.forward is not None:
        ahead = Frames(rooms.datasets).rows(model, versions=run.data, window=run.forward)
        counts["forward"] = ahead.height
        if ahead.height:
            forward = snapshot(model, ahead, version=version, on="forward")
            scores["forward"] = rooms.verdicts.scores(
                forward, _predict(loaded, candidate, ahead), task=model.task.name
            )
    return Judgement(verdicts=verdicts, scores=scores, counts=counts)


def _test_rows(model: Model, run: Run, rooms: Rooms) -> pl.DataFrame:
    assert run.window is not None
    end = run.forward.end if run.forward else run.window.end
    whole = Window(start=run.window.start, end=end)
    return Frames(rooms.datasets).rows(model, versions=run.data, window=whole, split="test")


def snapshot(model: Model, rows: pl.DataFrame, *, version: int, on: str = "test") -> Snapshot:
    """Return rows of one dataset version as what contenders are compared on, tied by the split's group."""
    grouped = model.data.split.groups if model.data.split else ()
    groups = rows.select(pl.struct(grouped).rank("dense")).to_series().to_numpy() if grouped else None
    moments = model.data.time
    return Snapshot(
        dataset=model.data.name,
        version=version,
        rows=digest_of_rows(rows.select(model.data.key_columns)),
        y=model.task.target(rows[model.target]),
        groups=groups,
        on=on,
        columns={name: rows[name] for name in columns_for(model.gates) if name in rows.columns},
        times=None if moments is None else rows[moments].to_physical().to_numpy(),
        horizon=getattr(model.task, "horizon", None),
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
