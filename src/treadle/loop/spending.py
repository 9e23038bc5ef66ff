"""What a model's runs have used in a stretch of time: read from the runs themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from treadle.core.clock import parse_span
from treadle.core.records import Run
from treadle.loop.facts import Spent
from treadle.loop.known import Known
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms


def spent(model: Model, rooms: Rooms, known: Known, *, now: datetime) -> Spent:
    """Return what a model's runs have used within the period of its budget; nothing, where it has none."""
    budget = model.policy.budget
    if budget is None:
        return Spent()
    runs = known.runs_since(model.name, now - parse_span(budget.per))
    return used(runs, now=now, workers=workers(model), price=price(model, rooms))


def used(runs: Sequence[Run], *, now: datetime, workers: int, price: float) -> Spent:
    """Return what some runs have used up to a moment; those that were imported used nothing.

    >>> used([], now=datetime(2025, 1, 1), workers=1, price=1.0).runs
    0
    """
    counted = [run for run in runs if run.origin is None]
    hours = [
        max(((run.finished_at or now) - run.started_at).total_seconds(), 0.0) / 3600 * workers
        for run in counted
    ]
    last = hours[-1] if hours else 0.0
    return Spent(
        runs=len(counted),
        hours=sum(hours),
        cost=sum(hours) * price,
        last_hours=last,
        last_cost=last * price,
        oldest=min((run.started_at for run in counted), default=None),
    )


def workers(model: Model) -> int:
    """Return how many workers a model's runs keep busy."""
    return model.search.parallel if model.search is not None else 1


def price(model: Model, rooms: Rooms) -> float:
    """Return what an hour of one worker costs."""
    return (model.resources[0].price if model.resources else 0.0) or rooms.price
