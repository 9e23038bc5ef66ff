"""What an endpoint answered beside what came of it: row by row, and how good that was."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from treadle.loop import landed, live
from treadle.loop.performing import Asked, Performing
from treadle.loop.rooms import Rooms


def answered(rooms: Rooms, endpoint: str) -> pl.DataFrame:
    """Return an endpoint's logged predictions whose outcome is known, with answer, outcome and baseline."""
    predictions = rooms.predictions().scan(endpoint).collect()
    wanted = predictions.select("model", "version").unique(maintain_order=True).rows()
    versions = {key: rooms.models.get("{}/{}".format(*key)) for key in wanted}
    if any(version.task == "forecast" for version in versions.values()):
        models = [rooms.project.model(name) for name in dict.fromkeys(name for name, _ in wanted)]
        return live.forecasts(predictions, models, rooms.datasets, versions)
    known = landed.outcomes_of(rooms, endpoint, predictions.lazy())
    return live.answered(predictions, known, versions)


def performance(rooms: Rooms, endpoint: str, *, metric: str, every: str, by: Sequence[str]) -> pl.DataFrame:
    """Return how good an endpoint's answers were; only what came since the last look is read.

    The truth of a forecast is made of many rows, so there everything is read.

    Raises:
        NotFound: there is no such endpoint.
        InvalidInput: the metric is not for this task, or there is no such stretch or input.
    """
    first = rooms.endpoints.get(endpoint).variants[0]
    version = rooms.models.get(f"{first.model}/{first.version}")
    if version.task != "forecast":
        asked = Asked(endpoint=endpoint, version=version, metric=metric, every=every, by=tuple(by))
        return Performing(rooms).scores(asked)
    task, told = rooms.project.task_of(version), version.signature
    known = live.divided(answered(rooms, endpoint).lazy(), by, told).collect()
    given = live.counts(live.divided(rooms.predictions().scan(endpoint), by, told), every=every, by=by)
    found = live.scores(known, task=task, measure=metric, every=every, signature=told, by=by)
    groups = ["start", "model", "version", *by]
    return found.join(given, on=groups, how="left", nulls_equal=True, maintain_order="left")
