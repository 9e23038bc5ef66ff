"""Parts of a view: its fields, and its aggregates, each kept in the online store under one key for each entity.

Fields change when a row lands, aggregates also when time goes by: so they are written apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import polars as pl

from treadle.core.errors import InvalidDeclaration, closest
from treadle.features.join import join
from treadle.features.packing import DTYPES, Layout
from treadle.features.views import FeatureView

_MOMENT = "_moment"


@dataclass(frozen=True)
class Part:
    """The fields or the aggregates of one view, as the online store keeps them."""

    view: FeatureView
    kind: Literal["fields", "aggregates"]
    layout: Layout
    namespace: bytes
    #: The features under the names that a join gives them, with their types.
    schema: Mapping[str, pl.DataType]
    #: What an entity has of which there is no value.
    defaults: tuple[Any, ...]
    #: Microseconds up to which a value is used; None: no limit.
    ttl: int | None

    @property
    def name(self) -> str:
        """The view's name, and for aggregates that they are meant."""
        return self.view.name if self.kind == "fields" else f"{self.view.name} (aggregates)"


def parts_of(view: FeatureView, schema: Mapping[str, str], *, project: str) -> list[Part]:
    """Return the parts of a view whose rows have these columns (name → name of the type).

    Raises:
        InvalidDeclaration: a column is not there, or of a type that the online store cannot hold.
    """
    for name in view.columns:
        if name not in schema:
            msg = f"Feature view {view.name!r}: its rows have no column {name!r}. {closest(name, schema)}"
            raise InvalidDeclaration(msg, field=name)
    found = [_fields(view, schema, project)] if view.outputs else []
    return found + ([_aggregates(view, schema, project)] if view.aggregates else [])


def only_aggregates(view: FeatureView) -> FeatureView:
    """Return a view without its fields."""
    return replace(view, fields=(), ttl=None)


def _fields(view: FeatureView, schema: Mapping[str, str], project: str) -> Part:
    layout = _layout(view, schema, {name: schema[name] for name in view.source_names}, kept="newest")
    dtypes = layout.schema
    return Part(
        view=view,
        kind="fields",
        layout=layout,
        namespace=layout.namespace(project),
        schema={output: dtypes[source] for source, output in view.outputs.items()},
        defaults=(None,) * len(dtypes),
        ttl=None if view.max_age is None else int(view.max_age.total_seconds()) * 1_000_000,
    )


def _aggregates(view: FeatureView, schema: Mapping[str, str], project: str) -> Part:
    nothing = _of_nobody(only_aggregates(view), schema)
    made = view.aggregates.values()
    needed = dict.fromkeys(name for aggregate in made for name in aggregate.columns)
    columns = {name: schema[name] for name in needed if name not in (view.time, view.arrived)}
    longest = max(aggregate.span for aggregate in made)
    layout = _layout(view, schema, columns, kept=f"events of {longest}")
    return Part(
        view=view,
        kind="aggregates",
        layout=layout,
        namespace=layout.namespace(project),
        schema=nothing.schema,
        defaults=nothing.row(0),
        ttl=None,
    )


def _layout(view: FeatureView, schema: Mapping[str, str], fields: Mapping[str, str], *, kept: str) -> Layout:
    return Layout(
        view=view.name,
        entities=tuple((name, schema[name]) for name in view.entities),
        fields=tuple(fields.items()),
        made_of={"time": view.time, "arrived": view.arrived, "event": view.events, "kept": kept},
    )


def _of_nobody(view: FeatureView, schema: Mapping[str, str]) -> pl.DataFrame:
    """Return what a join gives to an entity that never had an event."""
    rows = pl.DataFrame(schema={name: DTYPES[schema[name]] for name in view.columns})
    somebody = pl.DataFrame(
        {
            name: pl.Series([0]).cast(pl.String if rows.schema[name] == pl.String else rows.schema[name])
            for name in view.entities
        }
    ).with_columns(pl.lit(datetime(2000, 1, 1, tzinfo=UTC)).alias(_MOMENT))
    return join(somebody, [(view, rows)], time=_MOMENT).select(view.output_names)
