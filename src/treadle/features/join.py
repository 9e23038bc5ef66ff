"""The point-in-time join: gives each row the feature values that were known at the row's own time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.features.views import FeatureView

_NONE = -1
_ROW, _WHEN, _BEST = "_row", "_when", "_best"
Positions = npt.NDArray[np.int64]


def join(
    spine: pl.DataFrame,
    views: Sequence[tuple[FeatureView, pl.DataFrame]],
    *,
    time: str,
    known_at: datetime | None = None,
) -> pl.DataFrame:
    """Add the fields of each view to `spine`, as of each row's `time`; rows and their order stay as they are.

    A row at time t gets the values of the latest view time among those of its entity with view time <= t, arrived
    <= t and t - view time <= ttl. Of equal view times the one that arrived latest counts, then the one that stands
    last in the view's frame (it landed last). Where there is none, or entity or time is null, the fields are null.
    A view row without entity, time or arrival is never used. With `known_at`, nothing that arrived later is used,
    whatever the row's time. Moments without a zone are taken to be UTC.

    Raises:
        InvalidInput: a column is missing, or its type does not fit.
        InvalidDeclaration: a field has the name of a column that is there already.
    """
    _check_names(spine, [view for view, _ in views])
    _check_has(spine, [time], where="the rows")
    joined = spine
    for view, values in views:
        _check_has(spine, view.entities, where=f"the rows to which feature view {view.name!r} is joined")
        _check_has(values, [*view.key, *view.source_names], where=f"the values of feature view {view.name!r}")
        found = _positions(spine, values, view=view, time=time, known_at=known_at)
        at = pl.Series(found).replace(_NONE, None)
        joined = joined.with_columns(
            values[source].gather(at).alias(output) for source, output in view.outputs.items()
        )
    assert joined.height == spine.height
    return joined


def _positions(
    spine: pl.DataFrame, values: pl.DataFrame, *, view: FeatureView, time: str, known_at: datetime | None
) -> Positions:
    """Return, for each row of the spine, the row of `values` that it gets, or -1."""
    unit = _unit(spine[time], values[view.time], *([values[view.arrived]] if view.arrived else []))
    times = _ticks(values[view.time], unit)
    arrivals = _ticks(values[view.arrived], unit) if view.arrived else None
    wanted, offered = _entities(spine, values, view)
    left = wanted.with_columns(_ticks(spine[time], unit).alias(_WHEN)).with_row_index(_ROW).drop_nulls()
    right = _visible(offered, times, arrivals)
    if known_at is not None:
        right = right.filter(pl.col(_WHEN) <= _tick(known_at, unit))
    matched = left.sort(_WHEN).join_asof(
        right, on=_WHEN, by=offered.columns, strategy="backward", check_sortedness=False
    )
    assert matched.height == left.height
    matched = matched.filter(pl.col(_BEST).is_not_null())
    found = np.full(spine.height, _NONE, dtype=np.int64)
    rows, best = matched[_ROW].to_numpy(), matched[_BEST].to_numpy()
    if view.max_age is not None:
        limit = int(view.max_age.total_seconds()) * _TICKS_PER_SECOND[unit]
        fresh = matched[_WHEN].to_numpy() - times.gather(matched[_BEST]).to_numpy() <= limit
        rows, best = rows[fresh], best[fresh]
    found[rows] = best
    return found


def _visible(entities: pl.DataFrame, times: pl.Series, arrivals: pl.Series | None) -> pl.DataFrame:
    """Return when each value can be seen, in that order, and which value is then the best of those seen so far.

    A value that arrives late is seen from then on, but does not take the place of one that holds from a later
    moment: hence the running maximum, over each entity, of the rank by view time, arrival and landing.
    """
    seen = entities.with_columns(times.alias(_WHEN)).with_row_index(_BEST)
    if arrivals is None:
        return seen.drop_nulls().sort(_WHEN, maintain_order=True)
    ranked = (
        seen.with_columns(arrivals.alias("_arrived"))
        .drop_nulls()
        .sort(_WHEN, "_arrived", maintain_order=True)
        .with_row_index("_rank")
    )
    by = entities.columns
    running = (
        ranked.with_columns(pl.max_horizontal(_WHEN, "_arrived"))
        .sort(_WHEN, "_rank")
        .with_columns(pl.col("_rank").cum_max().over(by))
    )
    return running.select(*by, _WHEN).with_columns(ranked[_BEST].gather(running["_rank"]))


def _entities(
    spine: pl.DataFrame, values: pl.DataFrame, view: FeatureView
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the entity columns of both sides in types that can be compared."""
    left, right = spine.select(view.entities), values.select(view.entities)
    for name in view.entities:
        common = _common(left[name].dtype, right[name].dtype)
        if common is None:
            msg = (
                f"The entity {name!r} is {left[name].dtype} in the rows and {right[name].dtype} in feature view "
                f"{view.name!r}, so no value would ever be found. Give both the same type."
            )
            raise InvalidInput(msg, field=name)
        left, right = left.cast({name: common}), right.cast({name: common})
    names = {name: f"entity {number}" for number, name in enumerate(view.entities)}
    return left.rename(names), right.rename(names)


def _common(left: pl.DataType, right: pl.DataType) -> pl.DataType | None:
    if pl.Null in (left, right):
        return right if left == pl.Null else left
    if left.is_integer() and right.is_integer():
        return pl.Int128() if pl.UInt64 in (left, right) else pl.Int64()
    if all(isinstance(dtype, pl.String | pl.Categorical | pl.Enum) for dtype in (left, right)):
        return pl.String()
    return left if left == right else None


_TICKS_PER_SECOND = {"us": 1_000_000, "ns": 1_000_000_000}


def _unit(*columns: pl.Series) -> str:
    """Return the unit in which no column loses anything."""
    return "ns" if any(getattr(column.dtype, "time_unit", "") == "ns" for column in columns) else "us"


def _ticks(moments: pl.Series, unit: str) -> pl.Series:
    """Return moments as whole units since 1970 in UTC."""
    if moments.dtype != pl.Null and not isinstance(moments.dtype, pl.Datetime | pl.Date):
        msg = f"Column {moments.name!r} is {moments.dtype}. Expected moments: a Datetime or a Date column."
        raise InvalidInput(msg, field=moments.name)
    zone = getattr(moments.dtype, "time_zone", None)
    return moments.cast(pl.Datetime("ns" if unit == "ns" else "us", zone)).cast(pl.Int64)


def _tick(at: datetime, unit: str) -> int:
    micros = pl.Series([utc(at)], dtype=pl.Datetime("us", "UTC")).cast(pl.Int64).item()
    return int(micros) * (_TICKS_PER_SECOND[unit] // _TICKS_PER_SECOND["us"])


def _check_has(frame: pl.DataFrame, names: Sequence[str], *, where: str) -> None:
    for name in names:
        if name not in frame.columns:
            msg = f"No column {name!r} in {where}. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field=name)


def _check_names(spine: pl.DataFrame, views: Sequence[FeatureView]) -> None:
    owners = dict.fromkeys(spine.columns, "the rows")
    for view in views:
        for name in view.output_names:
            if name in owners:
                msg = (
                    f"Feature view {view.name!r} would add a column {name!r}, which {owners[name]} have already. "
                    f"Give it another name: fields={{{name!r}: '{view.name}_{name}'}}."
                )
                raise InvalidDeclaration(msg, field=name)
            owners[name] = f"the fields of {view.name!r}"
