"""The point-in-time join: gives each row the feature values that were known at the row's own time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.features.aggregates import Aggregate
from treadle.features.asof import Events, latest
from treadle.features.entities import NOBODY, Coding, comparable
from treadle.features.moments import Unit, span_ticks, tick, ticks, unit_of
from treadle.features.stretches import Stretches
from treadle.features.timelines import NOWHERE, Places, Timeline
from treadle.features.views import FeatureView
from treadle.features.windows import compute

#: A view's rows, or what gives them.
Values = pl.DataFrame | pl.LazyFrame | Callable[[], pl.DataFrame]


def join(
    spine: pl.DataFrame,
    views: Sequence[tuple[FeatureView, Values]],
    *,
    time: str,
    known_at: datetime | None = None,
) -> pl.DataFrame:
    """Add the fields and aggregates of each view to `spine`, as of each row's `time`; rows and their order stay.

    A row at time t gets the values of the latest view time among those of its entity with view time <= t, arrived
    <= t and t - view time <= ttl. Of equal view times the one that arrived latest counts, then the one that stands
    last in the view's frame (it landed last). Where there is none, or entity or time is null, the fields are null.
    A view row without entity, time or arrival is never used. With `known_at`, nothing that arrived later is used,
    whatever the row's time. Moments without a zone are taken to be UTC. For aggregates see `aggregates`.

    Rows that are given as a lazy frame or a function are fetched when their view's turn comes and let go afterwards, so
    that they need the memory of one view. Rows that stand entity by entity, each in order of time, are not sorted again.

    Raises:
        InvalidInput: a column is missing, or its type does not fit.
        InvalidDeclaration: a field has the name of a column that is there already.
    """
    _check_names(spine, [view for view, _ in views])
    _check_has(spine.columns, [time], where="the rows")
    asking = _Asking(spine, time)
    joined = spine
    for view, values in views:
        _check_has(
            spine.columns, view.entities, where=f"the rows to which feature view {view.name!r} is joined"
        )
        joined = joined.with_columns(_found(asking, _fetched(view, values), view=view, known_at=known_at))
    assert joined.height == spine.height
    return joined


def _fetched(view: FeatureView, values: Values) -> pl.DataFrame:
    """Return the columns of a view's rows that are needed."""
    given = values() if callable(values) else values
    _check_has(list(given.collect_schema()), view.columns, where=f"the values of feature view {view.name!r}")
    return given.lazy().select(view.columns).collect()


class _Asking:
    """The rows that ask, by entity and time; sorted once for all views with the same entity."""

    def __init__(self, spine: pl.DataFrame, time: str) -> None:
        self.height, self._moments = spine.height, spine[time]
        self._spine = spine
        self._sorted: dict[tuple[object, ...], tuple[Coding, Timeline]] = {}

    def beside(self, values: pl.DataFrame, view: FeatureView) -> tuple[Coding, Timeline, pl.DataFrame, Unit]:
        """Return the numbers of entities, the rows that ask, the entities that are offered, and the unit of time."""
        wanted, offered = comparable(self._spine, values, names=view.entities, view=view.name)
        unit = unit_of(self._moments, values[view.time], *([values[view.arrived]] if view.arrived else []))
        key = (*wanted.schema.items(), unit)
        if key not in self._sorted:
            self._sorted[key] = self._sort(wanted, unit)
        return *self._sorted[key], offered, unit

    def _sort(self, wanted: pl.DataFrame, unit: Unit) -> tuple[Coding, Timeline]:
        coding, moments = Coding(wanted), ticks(self._moments, unit)
        codes = coding.codes(wanted)
        codes[moments.is_null().to_numpy()] = NOBODY
        return coding, Timeline.of(codes, moments.fill_null(0).to_numpy(), count=coding.count)


def _found(
    asking: _Asking, values: pl.DataFrame, *, view: FeatureView, known_at: datetime | None
) -> list[pl.Series]:
    """Return the columns that a view adds."""
    coding, asked, offered, unit = asking.beside(values, view)
    events = _events(coding, offered, values, view=view, unit=unit, known_at=known_at)
    found = []
    if view.outputs:
        age = None if view.max_age is None else span_ticks(view.max_age, unit)
        rows = events.timeline.row(latest(asked, events, age=age))
        at = _indices(_put(rows, asked, asking.height))
        found += [values[source].rechunk().gather(at).alias(name) for source, name in view.outputs.items()]
    if view.aggregates:
        at = _indices(_put(np.arange(len(asked.times)), asked, asking.height))
        computed = _aggregated(asked, events, values, aggregates=view.aggregates, unit=unit)
        found += [column.gather(at).alias(name) for name, column in computed.items()]
    return found


def _events(
    coding: Coding,
    offered: pl.DataFrame,
    values: pl.DataFrame,
    *,
    view: FeatureView,
    unit: Unit,
    known_at: datetime | None,
) -> Events:
    """Return the view's rows that somebody may see; the others are nobody's."""
    codes, moments = coding.codes(offered), []
    for name in [view.time, *([view.arrived] if view.arrived else [])]:
        moment = ticks(values[name], unit)
        if known_at is not None:
            codes[(moment > tick(known_at, unit)).fill_null(value=False).to_numpy()] = NOBODY
        if moment.null_count():
            codes[moment.is_null().to_numpy()] = NOBODY
            moment = moment.fill_null(0)
        moments.append(moment.to_numpy())
    return Events.of(codes, moments[0], moments[1] if view.arrived else None, count=coding.count)


def _aggregated(
    asked: Timeline, events: Events, values: pl.DataFrame, *, aggregates: Mapping[str, Aggregate], unit: Unit
) -> dict[str, pl.Series]:
    """Return each aggregate's value for each place of the rows that ask."""
    found: dict[str, pl.Series] = {}
    spans = list(dict.fromkeys(aggregate.span for aggregate in aggregates.values()))
    stretches = Stretches.of(asked, events, spans=[span_ticks(span, unit) for span in spans])
    for span, seen in zip(spans, stretches, strict=True):
        chosen = {name: aggregate for name, aggregate in aggregates.items() if aggregate.span == span}
        rows = pl.Series(events.timeline.row(seen.events))
        columns = dict.fromkeys(column for aggregate in chosen.values() for column in aggregate.columns)
        held = pl.DataFrame([values[column].rechunk().gather(rows) for column in columns])
        found |= {name: compute(aggregate, seen, held) for name, aggregate in chosen.items()}
    return {name: found[name] for name in aggregates}


def _put(places: Places, asked: Timeline, height: int) -> Places:
    """Return what stands at the places of the rows that ask, in the order of those rows; `NOWHERE` for the others."""
    if asked.rows is None:
        return places
    found = np.full(height, NOWHERE, dtype=np.int64)
    found[asked.rows] = places
    return found


def _indices(rows: Places) -> pl.Series:
    column = pl.Series(rows)
    return pl.select(pl.when(column != NOWHERE).then(column).cast(pl.UInt32)).to_series()


def _check_has(columns: Sequence[str], names: Sequence[str], *, where: str) -> None:
    for name in names:
        if name not in columns:
            msg = f"No column {name!r} in {where}. {closest(name, columns)}"
            raise InvalidInput(msg, field=name)


def _check_names(spine: pl.DataFrame, views: Sequence[FeatureView]) -> None:
    owners = dict.fromkeys(spine.columns, "the rows")
    for view in views:
        for name in view.output_names:
            if name in owners:
                kind = "aggregates" if name in view.aggregates else "fields"
                way = "" if name in view.aggregates else f": fields={{{name!r}: '{view.name}_{name}'}}"
                msg = (
                    f"Feature view {view.name!r} would add a column {name!r}, which {owners[name]} have already. "
                    f"Give it another name among its {kind}{way}."
                )
                raise InvalidDeclaration(msg, field=name)
            owners[name] = f"the columns of {view.name!r}"
