"""Events: what the online store keeps of an entity so that its aggregates can be told at any later moment.

The value of an entity is its events of the view's longest span, in the order in which they landed. It is written when one of
its events is fresh; those that have become too old meanwhile are passed over by the read, and gone with the next write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from treadle.features.materialise import SEEN, Tally, Task, reading
from treadle.features.packing import ARRIVED, TIME, VERSION, Layout, moment, orders, packed
from treadle.features.recent import aggregated
from treadle.features.targets import Head, Target
from treadle.features.views import FeatureView

#: Events are kept for so much longer than the longest span: as much as the clocks of two machines may differ.
SLACK = timedelta(minutes=1)
_AT_ONCE = 1_000_000
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


def write_events(task: Task, target: Target, head: Head, tally: Tally) -> None:
    """Write the events of each entity of which one is fresh."""
    view = task.view
    rows = task.scan(view.columns)
    is_kept = (pl.col(SEEN) <= task.limit) & (pl.col(view.time) >= _since(view, task.limit))
    with reading(view):
        fresh = rows.filter(task.fresh())
        tally.look(fresh, task)
        changed = fresh.filter(is_kept).select(view.entities).unique().collect()
        if changed.is_empty():
            return
        entities = list(view.entities)
        events = rows.filter(is_kept).join(changed.lazy(), on=entities, how="semi", maintain_order="left")
        count = events.select(pl.len()).collect().item()
    for portion in _portions(events, view, count=count):
        tally.written += target.put_packed(_packed(portion, task, target, head), head)


def told(view: FeatureView, layout: Layout) -> Callable[[Sequence[Sequence[Any]], datetime], list[Any]]:
    """Return what makes the aggregates of an entity, in the order in which the view has them, of its packed events."""
    names = (view.time, view.arrived or TIME, *layout.names)
    converters = ((0, moment), (1, moment), *((at + 2, way_back) for at, way_back in layout.converters))

    def tell(packed: Sequence[Sequence[Any]], at: datetime) -> list[Any]:
        events = []
        for values in packed:
            event = list(values)
            for position, way_back in converters:
                if event[position] is not None:
                    event[position] = way_back(event[position])
            events.append(dict(zip(names, event, strict=True)))
        return list(aggregated(view, events, at=at).values())

    return tell


def _since(view: FeatureView, limit: int) -> datetime:
    """Return the moment from which events are kept."""
    span = max(aggregate.span for aggregate in view.aggregates.values()) + SLACK
    return moment(limit) - min(span, moment(limit) - _FIRST)


def _portions(events: pl.LazyFrame, view: FeatureView, *, count: int) -> Iterator[pl.DataFrame]:
    """Yield the events in portions that fit into memory, all events of an entity in one of them, as they landed."""
    portions = -(-count // _AT_ONCE)
    entity = pl.struct(view.entities).hash(seed=0)
    for number in range(portions):
        with reading(view):
            yield events.filter(entity % portions == number).collect()


def _packed(events: pl.DataFrame, task: Task, target: Target, head: Head) -> list[tuple[bytes, bytes]]:
    """Return the key and the value of each entity."""
    layout = target.part.layout
    found: dict[bytes, list[Any]] = {}
    keys = layout.keys(target.part.namespace, events)
    moments = events.select(TIME, ARRIVED).iter_rows()
    for key, times, fields in zip(keys, moments, layout.plain(events), strict=True):
        found.setdefault(key, []).append((*times, *fields))
    order = pl.DataFrame({TIME: [task.limit], ARRIVED: [task.limit], VERSION: [task.version]})
    prefix = orders(order, head.generation)[0]
    return [(key, prefix + packed([events])) for key, events in found.items()]
