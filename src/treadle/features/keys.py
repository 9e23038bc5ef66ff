"""Keys: the bytes by which the online store finds a view's value of an entity.

`treadle/<project>/<view>/<digest of the layout>/<entity>`, the entity as the canonical bytes of `core.hashing`, in which
composite keys never collide; an entity of more than 160 bytes is its SHA-256 after the byte 0xff, which no other has.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.hashing import key_bytes

#: The key of an entity with a null, which has no value: its first byte is not of UTF-8, and one byte is no integer.
NOBODY = b"\xfe"
_HASHED = b"\xff"
_LONGEST_ENTITY, _LONGEST_NAME = 160, 48
_int64 = struct.Struct("<q").pack

#: Takes columns by name, returns the bytes of the entity of each row.
Encoder = Callable[[Mapping[str, Sequence[Any]]], list[bytes]]


def namespaces_of(project: str, view: str | None = None) -> bytes:
    """Return what all keys of a project, or of one view in it, begin with.

    >>> namespaces_of("shop", "prices")
    b'treadle/shop/prices/'
    """
    return "".join(f"{_short(name)}/" for name in ("treadle", project, view) if name is not None).encode()


def entity_bytes(values: tuple[Any, ...]) -> bytes:
    """Return the bytes that stand for an entity, given one value for each column, whatever the columns' types.

    Raises:
        InvalidInput: a value is of no type that a key can have.
    """
    return NOBODY if None in values else _limited(key_bytes(values))


def encoder(entities: Sequence[tuple[str, pl.DataType]], *, view: str) -> Encoder:
    """Return what makes bytes of entities, given the names and types of their columns.

    What it returns raises `InvalidInput` where a column is missing or a value is not of its column's type.

    >>> encoder([("origin", pl.String())], view="weather")({"origin": ["JFK", None]})
    [b'JFK', b'\\xfe']
    """
    names, fits = [name for name, _ in entities], [_fits(dtype) for _, dtype in entities]

    def one(values: tuple[Any, ...]) -> bytes:
        for name, value, is_fit in zip(names, values, fits, strict=True):
            if value is not None and not is_fit(value):
                msg = (
                    f"{value!r} ({type(value).__name__}) is no value of the entity {name!r} of feature view {view!r}, "
                    f"which is {dict(entities)[name]}."
                )
                raise InvalidInput(msg, field=name)
        return entity_bytes(values)

    def general(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
        picked = [_column(columns, name) for name in names]
        if len({len(column) for column in picked}) > 1:
            raise uneven(columns)
        return [one(values) for values in zip(*picked, strict=True)]

    quick = {pl.String: _texts, pl.Int64: _integers}.get(entities[0][1].base_type())
    return general if quick is None or len(entities) > 1 else quick(names[0], general)


def uneven(columns: Mapping[str, Sequence[Any]]) -> InvalidInput:
    """Return the error for columns of different lengths."""
    lengths = ", ".join(f"{name}: {len(values)}" for name, values in columns.items())
    return InvalidInput(
        f"The columns of the rows are not of one length ({lengths}). Expected one value for each row."
    )


def typed(texts: Mapping[str, str], name: str, dtype: pl.DataType) -> Any:
    """Return the value of a column that a text says: moments and days in ISO 8601, `true` or `false`.

    >>> typed({"driver": "7"}, "driver", pl.Int64())
    7

    Raises:
        InvalidInput: the column is missing, or the text says no value of its type.
    """
    if name not in texts:
        msg = f"The entity has no {name!r}. {closest(name, texts)}"
        raise InvalidInput(msg, field=name)
    kind: Any = dtype.to_python()
    try:
        return msgspec.convert(texts[name], kind, strict=False)
    except msgspec.ValidationError as error:
        msg = f"The entity {name!r} is {texts[name]!r}: {error}. Its column is {dtype}."
        raise InvalidInput(msg, field=name) from error


def _texts(name: str, otherwise: Encoder) -> Encoder:
    """Return an encoder that is quick with what is usual, and leaves everything else to another."""

    def encode(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
        try:
            found = [text.encode() for text in columns[name]]
        except (AttributeError, KeyError, TypeError):
            return otherwise(columns)
        is_usual = max(map(len, found), default=0) <= _LONGEST_ENTITY and type(columns[name]) is not str
        return found if is_usual else otherwise(columns)

    return encode


def _integers(name: str, otherwise: Encoder) -> Encoder:
    """Return an encoder that is quick with what is usual, and leaves everything else to another."""

    def encode(columns: Mapping[str, Sequence[Any]]) -> list[bytes]:
        try:
            return [_int64(number) for number in columns[name]]
        except (KeyError, TypeError, struct.error):
            return otherwise(columns)

    return encode


def _column(columns: Mapping[str, Sequence[Any]], name: str) -> Sequence[Any]:
    if name not in columns:
        msg = f"No column {name!r} in the rows to which features are read. {closest(name, columns)}"
        raise InvalidInput(msg, field=name)
    column = columns[name]
    if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
        msg = f"The entity {name!r} is {column!r}. Expected a list of values, one for each row: [{column!r}]."
        raise InvalidInput(msg, field=name)
    return column


def _limited(entity: bytes) -> bytes:
    return entity if len(entity) <= _LONGEST_ENTITY else _HASHED + hashlib.sha256(entity).digest()


def _fits(dtype: pl.DataType) -> Callable[[Any], bool]:
    if dtype == pl.String:
        return lambda value: isinstance(value, str | UUID)
    if dtype == pl.Boolean:
        return lambda value: isinstance(value, bool)
    if dtype == pl.Date:
        return lambda value: isinstance(value, date) and not isinstance(value, datetime)
    if isinstance(dtype, pl.Datetime):
        return lambda value: isinstance(value, datetime)
    return lambda value: hasattr(value, "__index__") and not isinstance(value, bool)


def _short(name: str) -> str:
    """Return a name without slashes, and not too long for a key."""
    plain = quote(name, safe="")
    return (
        plain
        if len(plain) <= _LONGEST_NAME
        else f"{plain[:24]}~{hashlib.sha256(plain.encode()).hexdigest()[:16]}"
    )
