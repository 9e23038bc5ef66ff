"""A feature view: time-stamped values of an entity, as the user's file declares them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.features.aggregates import Aggregate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, eq=False)
class FeatureView:
    """Values of an entity that change with time, joined to rows as they stood at each row's time.

    `entity` names the column, or columns, that say whose values they are; rows that are joined have columns of the
    same names. `time` is the moment from which a value holds, `arrived` the moment at which it was known (left out:
    at once). A value older than `ttl` (a span, both ends inclusive; None: no limit) is not used. `fields` lists the
    columns to join, or maps each to the name that it gets. `aggregates` maps names to what is made of the entity's rows
    of the last hours or days; where rows are events of which an entity may have several at one moment, `event` names the
    column, or columns, that tell these apart. `rules` and `most_bad` judge new rows as they do a dataset's.

    >>> view = FeatureView("weather", source="a source", entity="origin", time="observed_at", ttl="3h",
    ...                    fields={"temp": "temperature"})
    >>> view.output_names
    ('temperature',)
    >>> from treadle.features.aggregates import Count, Sum
    >>> FeatureView("card", source="a source", entity="card", time="at", event="payment",
    ...             aggregates={"payments_1h": Count(over="1h"), "spent_7d": Sum("amount", over="7d")}).columns
    ('card', 'at', 'amount')

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    name: str
    source: Any
    contract: Any = None
    entity: str | Sequence[str] = ()
    time: str = ""
    arrived: str | None = None
    ttl: str | None = None
    fields: Sequence[str] | Mapping[str, str] = ()
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)
    event: str | Sequence[str] = ()
    rules: Sequence[Any] = ()
    most_bad: float | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        if not _all_text([self.name]) or not _NAME.fullmatch(self.name):
            raise self._wrong("name", "expected letters, digits, '_' and '-', as 'weather'")
        if self.source is None:
            raise self._wrong("source", "expected a source, as td.Files(…)")
        self._check_columns()
        self._check_ttl()
        self._check_fields()
        self._check_aggregates()
        self._check_contract()

    @property
    def entities(self) -> tuple[str, ...]:
        """The columns that say whose values they are."""
        return (self.entity,) if isinstance(self.entity, str) else tuple(self.entity)

    @property
    def outputs(self) -> dict[str, str]:
        """Each joined column of the source, and the name that it gets."""
        return dict(self.fields) if isinstance(self.fields, Mapping) else {name: name for name in self.fields}

    @property
    def events(self) -> tuple[str, ...]:
        """The columns that tell rows of one entity and moment apart."""
        return (self.event,) if isinstance(self.event, str) else tuple(self.event)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The columns of the source that are joined as they are."""
        return tuple(self.outputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The columns that a join adds, in order."""
        return (*self.outputs.values(), *self.aggregates)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that a join needs."""
        aggregated = (column for aggregate in self.aggregates.values() for column in aggregate.columns)
        moments = (self.time, *((self.arrived,) if self.arrived else ()))
        return tuple(dict.fromkeys([*self.entities, *moments, *self.source_names, *aggregated]))

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell the view's rows apart: a value may be corrected by one that arrives later."""
        return (*self.entities, self.time, *((self.arrived,) if self.arrived else ()), *self.events)

    @property
    def max_age(self) -> timedelta | None:
        """The age up to which a value is used; None: no limit."""
        return None if self.ttl is None else parse_span(self.ttl)

    @property
    def reach(self) -> timedelta | None:
        """How far back from a row's time its values may lie; None: no limit."""
        if self.outputs and self.max_age is None:
            return None
        spans = [aggregate.span for aggregate in self.aggregates.values()]
        return max([*spans, *([self.max_age] if self.outputs and self.max_age is not None else [])])

    def spec(self) -> dict[str, Any]:
        """Return what decides a join's result besides the data, as plain values."""
        return {
            "view": self.name,
            "entity": list(self.entities),
            "time": self.time,
            "arrived": self.arrived,
            "ttl": self.ttl,
            "fields": [list(pair) for pair in self.outputs.items()],
            "aggregates": {name: aggregate.spec() for name, aggregate in self.aggregates.items()},
        }

    def _wrong(self, field: str, expected: str) -> InvalidDeclaration:
        msg = f"Feature view {self.name!r}: {field} is {getattr(self, field)!r}; {expected}."
        return InvalidDeclaration(msg, field=field)

    def _check_columns(self) -> None:
        if not _all_text(self.entities):
            raise self._wrong("entity", "expected a column's name, or a list of them")
        if len(set(self.entities)) < len(self.entities):
            raise self._wrong("entity", "expected each column once")
        if not _all_text([self.time]):
            raise self._wrong("time", "expected the column that holds the moment of a value")
        if self.time in self.entities:
            raise self._wrong("time", "expected a column that is not part of the entity")
        if self.events and not _all_text(self.events):
            raise self._wrong("event", "expected a column's name, or a list of them")
        if {*self.events} & {*self.entities, self.time, self.arrived}:
            raise self._wrong("event", "expected columns other than entity, time and arrived")
        if self.arrived is None:
            return
        if not _all_text([self.arrived]):
            raise self._wrong(
                "arrived", "expected the column that holds the moment at which a value was known"
            )
        if self.arrived == self.time:
            raise self._wrong(
                "arrived", "which is also the time. Leave it out: values then arrive at their time"
            )
        if self.arrived in self.entities:
            raise self._wrong("arrived", "expected a column that is not part of the entity")

    def _check_ttl(self) -> None:
        if self.ttl is None:
            return
        if not _all_text([self.ttl]):
            raise self._wrong("ttl", "expected a span such as '3h', or None for no limit")
        try:
            parse_span(self.ttl)
        except InvalidInput as error:
            raise self._wrong("ttl", "expected a span such as '3h', or None for no limit") from error

    def _check_fields(self) -> None:
        if isinstance(self.fields, str):
            raise self._wrong("fields", f"expected a list, as [{self.fields!r}]")
        if self.aggregates and not self.fields:
            return
        if not _all_text([*self.outputs, *self.outputs.values()]):
            raise self._wrong("fields", "expected a list of columns, or a mapping of columns to new names")
        if not isinstance(self.fields, Mapping) and len(set(self.fields)) < len(self.fields):
            raise self._wrong("fields", "expected each column once")
        if len(set(self.outputs.values())) < len(self.outputs):
            raise self._wrong("fields", "expected a different new name for each column")
        for name in self.outputs.values():
            if name in self.entities:
                raise self._wrong("fields", f"which gives a feature the name of the entity {name!r}")

    def _check_aggregates(self) -> None:
        given: object = self.aggregates
        if not isinstance(given, Mapping) or not all(isinstance(made, Aggregate) for made in given.values()):
            raise self._wrong(
                "aggregates", "expected names with what is made, as {'spent_1h': td.aggregates.Sum(…)}"
            )
        if given and not _all_text(list(given)):
            raise self._wrong("aggregates", "expected names that are text")
        for name in self.aggregates:
            if name in (*self.entities, *self.outputs.values()):
                raise self._wrong("aggregates", f"of which {name!r} has the name of an entity or a field")

    def _check_contract(self) -> None:
        if self.contract is None:
            return
        if not callable(getattr(self.contract, "spec", None)):
            raise self._wrong("contract", "expected a class that derives from td.Contract")
        spec = self.contract.spec()
        known = spec.names
        for name in (*self.key, *self.columns):
            if name not in known:
                msg = (
                    f"Feature view {self.name!r}: its contract has no column {name!r}. {closest(name, known)}"
                )
                raise InvalidDeclaration(msg, field=name)
        for name, made in self.aggregates.items():
            for column in made.columns:
                if spec.column(column).kind in made.unfit:
                    kind = spec.column(column).kind
                    raise self._wrong(
                        "aggregates", f"of which {name!r} is made of {column!r}, which is {kind}"
                    )


def _all_text(values: Sequence[object]) -> bool:
    return bool(values) and all(isinstance(value, str) and value for value in values)
