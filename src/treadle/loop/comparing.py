"""Compares versions of one model on the same rows that none of them was trained on: any of them, at any time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from treadle.core.errors import InvalidInput
from treadle.core.records import ModelVersion, Record, Run
from treadle.evaluation.intervals import interval
from treadle.evaluation.pair import Pair
from treadle.evaluation.plot import Plot, plots
from treadle.loop import judging, rescoring
from treadle.loop.models import Model
from treadle.loop.rescoring import Answered, Score
from treadle.loop.rooms import Rooms

_SLICED = {"string", "category", "boolean"}


class Gap(Record, frozen=True, kw_only=True):
    """By how much a metric of one version is above that of the first, on the same rows, with its 95 % interval."""

    version: str
    metric: str
    greater_is_better: bool
    difference: float
    low: float | None = None
    high: float | None = None

    @property
    def is_better(self) -> bool | None:
        """Whether the interval lies on the better side, on the worse, or (None) on neither."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return (self.low > 0) == self.greater_is_better


class Compared(Record, frozen=True, kw_only=True):
    """Versions of one model beside each other; contenders are called by their references, as `delay/3`."""

    model: str
    versions: tuple[str, ...]
    #: The dataset version whose test rows they answered, up to the end of the newest one's window and forward test.
    dataset: str
    dataset_version: int
    rows: int
    #: The metric that decides.
    metric: str
    scores: tuple[Score, ...] = ()
    gaps: tuple[Gap, ...] = ()
    slices: tuple[Score, ...] = ()
    plots: tuple[Plot, ...] = ()


def compare(references: Sequence[str], rooms: Rooms) -> Compared:
    """Let versions of one model answer the test rows of the newest run among them; nothing is written.

    Raises:
        NotFound: there is no such version.
        InvalidInput: they are fewer than two, or of several models.
    """
    versions = [rooms.models.get(one) for one in references]
    named = {f"{one.model}/{one.version}": one for one in versions}
    models = sorted({one.model for one in versions})
    if len(named) < 2 or len(models) != 1:
        msg = f"Given are {', '.join(named) or 'no versions'}. Expected two or more versions of one model, as delay/3 and delay/4."
        raise InvalidInput(msg, field="versions")
    model = rooms.project.model(models[0])
    newest = max(versions, key=lambda one: one.version)
    run = rooms.runs.get(newest.run)
    part = _answered(model, run, named, newest, rooms)
    columns = [field.name for field in newest.signature.inputs if field.kind in _SLICED]
    return Compared(
        model=model.name,
        versions=tuple(named),
        dataset=model.data.name,
        dataset_version=run.data[model.data.name],
        rows=part.rows.height,
        metric=model.task.metric,
        scores=tuple(rescoring.scores(part, model)),
        gaps=tuple(_gaps(part, model, list(named))),
        slices=tuple(rescoring.slices(part, model, columns)),
        plots=plots(part.snapshot, part.predictions, task=model.task.name),
    )


def _answered(
    model: Model, run: Run, named: dict[str, ModelVersion], newest: ModelVersion, rooms: Rooms
) -> Answered:
    rows = judging.test_rows(model, run, rooms)
    loaded = {name: rooms.models.load(version) for name, version in named.items()}
    contenders = judging.answering_with(loaded, newest)
    return Answered(rows, *judging.compared(model, rows, contenders, version=run.data[model.data.name]))


def _gaps(part: Answered, model: Model, names: list[str]) -> list[Gap]:
    found = []
    for metric in model.task.metrics:
        measure, snapshot = part.snapshot.measure(metric), part.snapshot
        for name in names[1:]:
            if name not in part.predictions or names[0] not in part.predictions:
                continue
            given = interval(
                Pair(
                    measure=measure,
                    y=snapshot.in_unit(measure, snapshot.y),
                    first=snapshot.in_unit(measure, part.predictions[name]),
                    second=snapshot.in_unit(measure, part.predictions[names[0]]),
                    groups=snapshot.groups,
                    times=snapshot.times,
                    horizon=snapshot.horizon,
                )
            )
            if np.isfinite(given.difference):
                found.append(
                    Gap(
                        version=name,
                        metric=metric,
                        greater_is_better=measure.greater_is_better,
                        difference=given.difference,
                        low=given.low if np.isfinite(given.low) else None,
                        high=given.high if np.isfinite(given.high) else None,
                    )
                )
    return found
