"""The online read: many entities, many views, one round trip, one packed row for each entity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.core.records import Record
from treadle.features.events import SLACK, told
from treadle.features.keys import NOBODY, uneven
from treadle.features.packing import (
    AT_ARRIVED,
    AT_FIELDS,
    AT_TIME,
    EMPTY,
    NULL,
    array_head,
    as_bytes,
    decode,
    from_bytes,
    micros,
)
from treadle.features.parts import Part
from treadle.store.online.online import Online

_PER_SECOND = 1_000_000
_FOR_EVER = 1 << 57
_MICROSECOND = timedelta(microseconds=1)
#: Makes the features of a row of its packed items, as of a moment.
Finish = Callable[[list[Any], datetime], list[Any]]


class ReadFreshness(Record, frozen=True, kw_only=True):
    """How old the values of one view were in one read."""

    view: str
    #: Rows that got a value, and rows that did not: no such entity, or too old.
    found: int
    missing: int
    #: Seconds since the view time of the newest and of the oldest value (of aggregates: since they were computed).
    newest: float | None = None
    oldest: float | None = None


class OnlineRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a read gave: for each row that was asked for, the features of all views, side by side.

    >>> found = OnlineRows(schema={"temp": pl.Float64(), "wind": pl.Float64()}, rows=[[0.5, None]], at=datetime(2013, 1, 1))
    >>> found.columns
    {'temp': [0.5], 'wind': [None]}
    """

    #: The features with their types, in order; None: the type is not known, as nothing could be asked.
    schema: Mapping[str, pl.DataType | None]
    #: The values of each row, in the order of `schema`.
    rows: list[list[Any]]
    #: The moment as of which they hold.
    at: datetime
    #: What the store gave, and the read that it was asked for; the freshness is told from it.
    values: list[bytes | None] = []
    lookup: Lookup | None = None
    #: Why the store gave nothing, and all values are null; empty: it answered.
    problem: str = ""

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The values of each feature."""
        if not self.rows:
            return {name: [] for name in self.schema}
        return dict(zip(self.schema, map(list, zip(*self.rows, strict=True)), strict=True))

    def dicts(self) -> list[dict[str, Any]]:
        """Return the features of each row by name."""
        return [dict(zip(self.schema, row, strict=True)) for row in self.rows]

    @property
    def degraded(self) -> bool:
        """Whether the store did not answer, and null stands for every value."""
        return bool(self.problem)

    @property
    def freshness(self) -> dict[str, ReadFreshness]:
        """How old the values of each view are."""
        return {} if self.lookup is None else self.lookup.freshness(self)

    def lacking(self) -> list[dict[str, str]]:
        """Return of each row which views had no value for it: `missing`, or `stale` where it was too old or too new."""
        return [{} for _ in self.rows] if self.lookup is None else self.lookup.lacking(self)

    def frame(self) -> pl.DataFrame:
        """Return the features as a frame, in the types that the view's rows have."""
        return pl.DataFrame(self.columns, schema=dict(self.schema))


class _Step(NamedTuple):
    """What is done with the value of one part."""

    #: Microseconds up to which a value is used, None: for ever; and by how many its moments may lie ahead.
    ttl: int | None
    slack: int
    #: The key of an entity that is null.
    nobody: bytes
    #: What is packed for an entity that is not there, and for one that is null or whose value is too old.
    missing: bytes
    null: bytes

    def take(self, key: bytes, value: bytes | None, *, now: int) -> bytes:
        """Return the packed fields that an entity gets, given its value."""
        if value is None:
            return self.null if key == self.nobody else self.missing
        return value[AT_FIELDS] if self.is_usable(value, now=now) else self.null

    def is_usable(self, value: bytes, *, now: int) -> bool:
        """Say whether a value holds at a moment."""
        time, arrived = from_bytes(value[AT_TIME]), from_bytes(value[AT_ARRIVED])
        return max(time, arrived) <= now + self.slack and (self.ttl is None or time >= now - self.ttl)


class Lookup:
    """A read of some views, prepared once.

    Raises:
        InvalidInput: there are no views.
        InvalidDeclaration: two views give a feature the same name.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            msg = "There is no feature view to be read. Expected at least one, as ['weather']."
            raise InvalidInput(msg, field="views")
        self.names = tuple(part.name for part in parts)
        #: Places of what is one packed row of fields, and of which view.
        self._fields = [(place, part.view.name) for place, part in enumerate(parts) if part.kind == "fields"]
        self.schema: dict[str, pl.DataType | None] = _schema(parts)
        # Views of the same entity share its bytes.
        encoders = {part.layout.entities: part.layout.encoder for part in parts}
        self._encoders = list(encoders.values())
        self._keys = [(part.namespace, list(encoders).index(part.layout.entities)) for part in parts]
        self._steps = [_step(part) for part in parts]
        self._finish = _finish(parts)
        self._width = sum(_width(part) for part in parts)
        self._head = array_head(self._width)
        self._only = (self._encoders[0], [part.namespace for part in parts]) if len(encoders) == 1 else None
        #: What is not older than this is not too old for any of the views.
        self._shortest = min((step.ttl for step in self._steps if step.ttl is not None), default=_FOR_EVER)
        #: Whether nothing but the view time decides if a value may be used.
        self._is_plain = all(part.kind == "fields" and part.view.arrived is None for part in parts)

    def read(self, store: Online, columns: Mapping[str, Sequence[Any]], at: datetime) -> OnlineRows:
        """Return the features of some entities as of a moment.

        Raises:
            InvalidInput: a column is missing, or a value is not of its type.
            StoreUnavailable: the store does not answer.
        """
        # Beside the store this is what a read costs: few calls, and one decoding, as the values follow each other as the
        # features of the rows do.
        if self._only is None:
            keys = self._keys_of(columns)
        else:
            encode, namespaces = self._only
            keys = [namespace + entity for entity in encode(columns) for namespace in namespaces]
        values: list[Any] = store.get(keys)
        now, count = micros(at), len(keys) // len(self._steps)
        packed = self._usual(values, now) if self._is_plain else None
        if packed is None:
            steps = zip(self._steps * count, keys, values, strict=True)
            packed = b"".join([step.take(key, value, now=now) for step, key, value in steps])
        if count == 1:
            rows = [decode(self._head + packed)]
        else:
            width = self._width
            items = decode(array_head(count * width) + packed)
            rows = [items[begin : begin + width] for begin in range(0, len(items), width)]
        if self._finish is not None:
            rows = [self._finish(row, at) for row in rows]
        return OnlineRows(schema=self.schema, rows=rows, at=at, values=values, lookup=self)

    def _usual(self, values: list[Any], now: int) -> bytes | None:
        """Return the packed fields of all values, or None where one is missing, or may be too old or too new."""
        low, high = as_bytes(now - self._shortest), as_bytes(now)
        try:
            pieces: Any = [value[AT_FIELDS] if low <= value[AT_TIME] <= high else None for value in values]
            return b"".join(pieces)
        except TypeError:  # asking each value whether it is None would take as long as joining them
            return None

    def freshness(self, rows: OnlineRows) -> dict[str, ReadFreshness]:
        """Return how old the values of a read are, by part."""
        return {
            name: _freshness(name, step, rows.values[number :: len(self._steps)], now=micros(rows.at))
            for number, (name, step) in enumerate(zip(self.names, self._steps, strict=True))
        }

    def lacking(self, rows: OnlineRows) -> list[dict[str, str]]:
        """Return of each row which views had no value for it; an entity without events has aggregates all the same."""
        now, width = micros(rows.at), len(self._steps)
        told: list[dict[str, str]] = []
        for begin in range(0, len(rows.values), width):
            found = {}
            for place, view in self._fields:
                value = rows.values[begin + place]
                if value is None or not self._steps[place].is_usable(value, now=now):
                    found[view] = "missing" if value is None else "stale"
            told.append(found)
        return told

    def _keys_of(self, columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
        """Return the keys of each row's entities, row by row."""
        entities = [encode(columns) for encode in self._encoders]
        if len({len(each) for each in entities}) > 1:
            raise uneven(columns)
        return [
            namespace + entity[which]
            for entity in zip(*entities, strict=True)
            for namespace, which in self._keys
        ]


def _schema(parts: Sequence[Part]) -> dict[str, pl.DataType | None]:
    schema: dict[str, pl.DataType | None] = {}
    for part in parts:
        for name in part.schema:
            if name in schema:
                msg = (
                    f"Feature view {part.view.name!r} would give a feature {name!r}, which another view in this read gives. "
                    f"Give it another name: fields={{{name!r}: '{part.view.name}_{name}'}}."
                )
                raise InvalidDeclaration(msg, field=name)
        schema |= part.schema
    return schema


def _step(part: Part) -> _Step:
    is_events = part.kind == "aggregates"
    null = NULL * _width(part)
    return _Step(
        ttl=part.ttl,
        slack=SLACK // _MICROSECOND if is_events else 0,
        nobody=part.namespace + NOBODY,
        missing=EMPTY if is_events else null,
        null=null,
    )


def _width(part: Part) -> int:
    """Return how many packed items a value of the part has: its fields, or one array of events."""
    return 1 if part.kind == "aggregates" else len(part.schema)


def _finish(parts: Sequence[Part]) -> Finish | None:
    """Return what makes features of the packed items of a row; None: they are the features."""
    ways: list[Finish] = []
    begin = 0
    for part in parts:
        width = _width(part)
        ways.append(_told(part, begin) if part.kind == "aggregates" else _converted(part, begin))
        begin += width
    if all(part.kind == "fields" and not part.layout.converters for part in parts):
        return None
    return lambda row, at: [feature for way in ways for feature in way(row, at)]


def _converted(part: Part, begin: int) -> Finish:
    end, converters = begin + len(part.schema), part.layout.converters

    def convert(row: list[Any], at: datetime) -> list[Any]:  # noqa: ARG001 - for aggregates
        fields = row[begin:end]
        for position, way_back in converters:
            if fields[position] is not None:
                fields[position] = way_back(fields[position])
        return fields

    return convert


def _told(part: Part, begin: int) -> Finish:
    tell, nulls = told(part.view, part.layout), [None] * len(part.schema)
    return lambda row, at: nulls if row[begin] is None else tell(row[begin], at)


def _freshness(name: str, step: _Step, values: Sequence[bytes | None], *, now: int) -> ReadFreshness:
    used = [value for value in values if value is not None and step.is_usable(value, now=now)]
    ages = [(now - from_bytes(value[AT_TIME])) / _PER_SECOND for value in used]
    return ReadFreshness(
        view=name,
        found=len(ages),
        missing=len(values) - len(ages),
        newest=min(ages, default=None),
        oldest=max(ages, default=None),
    )
