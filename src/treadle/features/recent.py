"""Recent events: what has to be kept of an entity so that its aggregates can be told at any later moment, bit for bit.

The state of an aggregate is the events of its window: they are added as they arrive and let go when they are older than the
view's longest span, so that keeping it up costs the new events and not the history. A total that is carried along would be
cheaper to read, but nothing can be taken out of a greatest value or a number of different values, and rounding would add
up. Everything here is plain Python, for one entity and one request; for many at once, `join` gives the same values.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import fsum, inf, isfinite, nan
from typing import Any

from treadle.core.clock import utc
from treadle.core.errors import InvalidInput
from treadle.features import aggregates as declared
from treadle.features.aggregates import Aggregate
from treadle.features.views import FeatureView

#: One event: values by column, as `view.columns` lists them.
Event = Mapping[str, Any]


def kept(view: FeatureView, events: Iterable[Event], *, at: datetime) -> list[Event]:
    """Return the events of one entity that can still matter at `at` or later, in their order.

    To keep the state up, pass what was kept before followed by what arrived since.
    """
    since = utc(at) - max(aggregate.span for aggregate in _aggregates(view).values())
    return [event for event in events if event[view.time] is not None and utc(event[view.time]) >= since]


def aggregated(view: FeatureView, events: Iterable[Event], *, at: datetime) -> dict[str, Any]:
    """Return the view's aggregates for one entity as of a moment, as a join gives them to a row at that moment.

    `events` are those of the entity in the order in which they landed; there may be more than the windows need.

    Raises:
        InvalidInput: the view has no aggregates, or values cannot be added or compared.
    """
    moment = utc(at)
    seen = sorted(_seen(view, events, moment), key=lambda one: one[:2])
    times = [time for time, _, _ in seen]
    found = {}
    for name, aggregate in _aggregates(view).items():
        window = seen[bisect_left(times, moment - aggregate.span) :]
        found[name] = _told(aggregate, [event for _, _, event in window])
    return found


def _seen(
    view: FeatureView, events: Iterable[Event], at: datetime
) -> Iterable[tuple[datetime, datetime, Event]]:
    for event in events:
        time = event[view.time]
        arrived = event[view.arrived] if view.arrived else time
        if time is not None and arrived is not None and utc(time) <= at and utc(arrived) <= at:
            yield utc(time), utc(arrived), event


def _told(aggregate: Aggregate, window: Sequence[Event]) -> Any:
    if not aggregate.column:
        return len(window)
    values = [event[aggregate.column] for event in window]
    if isinstance(aggregate, declared.Last):
        return values[-1] if values else None
    try:
        # NaN is what does not equal itself.
        return _MADE[type(aggregate)]([value for value in values if value is not None and value == value])
    except TypeError as error:
        msg = f"{aggregate!r} cannot be made of the values of {aggregate.column!r}: {error}."
        raise InvalidInput(msg, field=aggregate.column) from error


def _sum(values: list[Any]) -> float | int:
    if not any(isinstance(value, float) for value in values):
        whole: int = sum(values)
        return whole
    if all(isfinite(value) for value in values):
        try:
            return fsum(values)
        except OverflowError:
            return inf if sum(value / 2**64 for value in values) > 0 else -inf
    infinite = {value for value in values if not isfinite(value)}
    return nan if len(infinite) > 1 else float(infinite.pop())


def _mean(values: list[Any]) -> float | None:
    return float(_sum(values)) / len(values) if values else None


_MADE: dict[type[Aggregate], Callable[[list[Any]], Any]] = {
    declared.Count: len,
    declared.Sum: _sum,
    declared.Mean: _mean,
    declared.Distinct: lambda values: len(set(values)),
    declared.Min: lambda values: min(values, default=None),
    declared.Max: lambda values: max(values, default=None),
}


def _aggregates(view: FeatureView) -> Mapping[str, Aggregate]:
    if not view.aggregates:
        msg = (
            f"Feature view {view.name!r} has no aggregates. Declare some, as "
            "aggregates={'events_1h': td.aggregates.Count(over='1h')}."
        )
        raise InvalidInput(msg, field="aggregates")
    return view.aggregates
