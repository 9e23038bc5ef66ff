"""What each row gets, by the definition and one row at a time: the reference that the join is compared with."""

from __future__ import annotations

from math import fsum

import polars as pl

from treadle.features import aggregates as agg

_NANOS = {"ms": 10**6, "us": 10**3, "ns": 1}
_DAY = 86_400 * 10**9


def moments(column: pl.Series) -> list[int | None]:
    """Return moments as nanoseconds since 1970, as Python's own integers."""
    factor = _DAY if column.dtype == pl.Date else _NANOS[column.dtype.time_unit]
    return [None if moment is None else moment * factor for moment in column.to_physical().to_list()]


def nanos(span):
    return int(span.total_seconds()) * 10**9


def expected(spine, frame, view, *, time, known_at=None):
    """Return the tuples of what `view` adds to each row of `spine`."""
    known = None if known_at is None else moments(pl.Series([known_at]).cast(pl.Datetime("us")))[0]
    by_entity = {}
    times = moments(frame[view.time])
    arrivals = moments(frame[view.arrived]) if view.arrived else times
    entities = frame.select(view.entities).rows()
    records = frame.rows(named=True)
    for landed, (entity, at, arrived, record) in enumerate(
        zip(entities, times, arrivals, records, strict=True)
    ):
        if None not in entity and at is not None and arrived is not None:
            by_entity.setdefault(entity, []).append((at, arrived, landed, record))
    found = []
    asked = zip(spine.select(view.entities).rows(), moments(spine[time]), strict=True)
    for entity, at in asked:
        if at is None or None in entity:
            found.append((None,) * len(view.output_names))
            continue
        limit = at if known is None else min(at, known)
        seen = sorted(
            (event for event in by_entity.get(entity, ()) if event[0] <= limit and event[1] <= limit),
            key=lambda event: event[:3],
        )
        found.append((*_fields(view, seen, at), *_aggregates(view, seen, at)))
    return found


def _fields(view, seen, at):
    best = seen[-1] if seen else None
    if best is None or (view.max_age is not None and at - best[0] > nanos(view.max_age)):
        return [None] * len(view.outputs)
    return [best[3][name] for name in view.source_names]


def _aggregates(view, seen, at):
    return [
        _value(made, [event[3] for event in seen if event[0] >= at - nanos(made.span)])
        for made in view.aggregates.values()
    ]


def _value(made, window):
    if not made.column:
        return len(window)
    everything = [event[made.column] for event in window]
    if isinstance(made, agg.Last):
        return everything[-1] if everything else None
    values = [value for value in everything if value is not None and value == value]
    return {
        agg.Count: len,
        agg.Distinct: lambda some: len(set(some)),
        agg.Sum: _total,
        agg.Mean: lambda some: _total(some) / len(some) if some else None,
        agg.Min: lambda some: min(some, default=None),
        agg.Max: lambda some: max(some, default=None),
    }[type(made)](values)


def _total(values):
    return fsum(values) if any(isinstance(value, float) for value in values) else sum(values)
