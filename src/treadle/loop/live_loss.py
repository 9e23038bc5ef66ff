"""How good the version that answers has been lately, beside its own test rows: what decay is measured by."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import NormalDist

import numpy as np
import polars as pl

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import ModelVersion
from treadle.core.sequential import mean_radius
from treadle.evaluation.own import measure_of
from treadle.loop import landed, live
from treadle.loop.facts import Performed
from treadle.loop.models import Model
from treadle.loop.pace import Pace
from treadle.loop.rooms import Rooms

#: What share of the time reading the logs of all models may take: they grow, and watchers look often.
_SHARE = 0.05
#: A chance of at most this much to call a version decayed that is not, however often one looks.
ALPHA = 0.05
#: Outcomes at which the interval is narrowest, for its kind.
_PLANNED = 2000


@dataclass
class LiveLoss:
    """Reads the logs of predictions and outcomes, and no more often than that is worth."""

    rooms: Rooms
    _pace: Pace[Performed | None] = field(default_factory=lambda: Pace(share=_SHARE))

    def of(self, model: Model, *, over: str, now: datetime) -> Performed | None:
        """Return how good a model's answers of the last `over` were; None: no outcome of them is known."""
        return self._pace.of((model.name, over), lambda: self._read(model, over=over, now=now))

    def _read(self, model: Model, *, over: str, now: datetime) -> Performed | None:
        rooms = self.rooms
        number = rooms.models.aliases(model.name).get("champion")
        if number is None:
            return None
        version = rooms.models.get(f"{model.name}/{number}")
        metric = mean_metric(model, version)
        expected = expected_of(version, rooms, metric=metric)
        since = max(now - parse_span(over), version.created_at)
        try:
            logged = rooms.predictions().scan(model.name)
            chosen = (pl.col("version") == number) & (pl.col("model") == model.name) & (pl.col("at") >= since)
            rows = logged.filter(chosen).collect()
            reported = landed.outcomes_of(rooms, model.name, rows.lazy())
            known = live.answered(rows, reported, {(model.name, number): version})
            metric, losses = live.losses(known, task=model.task, metric=metric, signature=version.signature)
        except (NotFound, InvalidInput):
            return None
        if expected is None or losses.is_empty():
            return None
        return performed(
            losses["loss"].to_numpy(), metric=metric, version=number, since=since, expected=expected
        )


def mean_metric(model: Model, version: ModelVersion) -> str:
    """Return the metric that decides, or where it is no mean over rows (as rmse) the first of the task's that is one (mae)."""
    task = model.task
    means: Iterator[str] = (
        name for name in (task.metric, *task.metrics) if measure_of(name, version.task).per_row
    )
    return next(means, str(task.metric))


def performed(
    losses: np.ndarray, *, metric: str, version: int, since: datetime, expected: tuple[float, int]
) -> Performed:
    """Compare the losses of live answers with the mean loss on a number of test rows, by a bound that holds at every look.

    Half of the allowed error goes to the live answers (an asymptotic confidence sequence) and half to the test rows, which
    were looked at once; their losses are taken to vary as the live ones do.
    """
    value, tested = expected
    variance = float(np.var(losses, ddof=1)) if len(losses) > 1 else math.inf
    radius = mean_radius(variance, len(losses), alpha=ALPHA, planned=_PLANNED)
    blur = NormalDist().inv_cdf(1 - ALPHA / 2) * math.sqrt(variance / tested)
    mean = float(np.mean(losses))
    low = mean - value - radius - blur
    return Performed(
        metric=metric,
        version=version,
        since=since,
        n=len(losses),
        value=mean,
        expected=value,
        low=low if math.isfinite(low) else -math.inf,
    )


def expected_of(version: ModelVersion, rooms: Rooms, *, metric: str) -> tuple[float, int] | None:
    """Return a version's mean loss on its test rows, and how many these were; None: it was not judged by that metric."""
    run = rooms.runs.get(version.run)
    value = run.metrics.get(f"test.candidate.{metric}")
    counts = [
        verdict.n
        for verdict in rooms.verdicts.list(run=version.run)
        if verdict.on == "test" and not verdict.slice
    ]
    if value is None or not counts:
        return None
    greater = measure_of(metric, version.task).greater_is_better
    return (-value if greater else value), max(counts)
