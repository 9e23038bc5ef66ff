"""Packed values: the fields of one entity as one value of the online store, and the key that finds it.

A value is the order (generation, view time, arrival and dataset version, which say which of two values of an entity is the
newer), then the fields in MessagePack, one after another: so the values of several views become one row by putting them one
after another behind the head of an array. Moments are microseconds since 1970 in UTC, days are numbers of days since then, vectors are 32-bit floats,
little-endian; everything else is what MessagePack makes of it. Names and types are not in the value but in the digest that
the keys begin with, so that a changed declaration never reads what another one wrote.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration
from treadle.core.ids import digest_of
from treadle.features.keys import Encoder, encoder, namespaces_of
from treadle.store.online.backend import ORDER

#: The moment of a value, the moment at which it was known, and the dataset version that it came with.
TIME, ARRIVED, VERSION = "_time", "_arrived", "_version"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
#: Added to a moment, of the year 1 to 9999, so that its bytes sort as it does.
_SHIFT = 1 << 58

_MOMENT, _DAY, _VECTOR = pl.Datetime("us", "UTC"), pl.Date(), pl.List(pl.Float32)
_PLAIN = (
    *(pl.String(), pl.Boolean(), pl.Float64(), pl.Float32()),
    *(pl.Int64(), pl.Int32(), pl.Int16(), pl.Int8(), pl.UInt64(), pl.UInt32(), pl.UInt16(), pl.UInt8()),
)
#: Name of a type, as a dataset version records it → the type.
DTYPES: dict[str, pl.DataType] = {str(dtype): dtype for dtype in (*_PLAIN, _MOMENT, _DAY, _VECTOR)}
_ORDERS = np.dtype([("generation", ">u4"), (TIME, ">u8"), (ARRIVED, ">u8"), (VERSION, ">u8")])
assert _ORDERS.itemsize == ORDER

_encode = msgspec.msgpack.Encoder().encode
#: A packed null, and a packed empty array.
NULL, EMPTY = b"\xc0", b"\x90"
#: Where view time and arrival stand in a value, each as `as_bytes` makes it, and where its fields do.
AT_TIME, AT_ARRIVED, AT_FIELDS = slice(4, 12), slice(12, 20), slice(ORDER, None)
#: Returns the items of a packed array.
decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[Any]).decode


class Layout(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What the values of one view look like."""

    view: str
    #: The columns that say whose values they are, and the fields, each with the name of its type.
    entities: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...]
    #: Whatever else decides the values, as plain values: the columns of time and arrival, what is computed.
    made_of: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Check that every type can be packed.

        Raises:
            InvalidDeclaration: one cannot.
        """
        for name, dtype in (*self.entities, *self.fields):
            if dtype not in DTYPES:
                msg = (
                    f"Feature view {self.view!r}: {name!r} is {dtype}, which the online store cannot hold. "
                    f"Expected one of {', '.join(DTYPES)}."
                )
                raise InvalidDeclaration(msg, field=name)

    @property
    def names(self) -> tuple[str, ...]:
        """The fields, in order."""
        return tuple(name for name, _ in self.fields)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The fields with their types, in order."""
        return {name: DTYPES[dtype] for name, dtype in self.fields}

    def namespace(self, project: str) -> bytes:
        """Return what the keys of these values begin with, in a store that several projects may share."""
        digest = digest_of([self.entities, self.fields, self.made_of]).partition(":")[2][:12]
        return namespaces_of(project, self.view) + f"{digest}/".encode()

    @cached_property
    def encoder(self) -> Encoder:
        """What makes bytes of entities; see `keys.encoder`."""
        return encoder([(name, DTYPES[dtype]) for name, dtype in self.entities], view=self.view)

    @cached_property
    def converters(self) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
        """Positions of fields that are packed as something else, each with the way back."""
        ways: dict[str, Callable[[Any], Any]] = {
            str(_MOMENT): moment,
            str(_DAY): _day,
            str(_VECTOR): _vector,
        }
        return tuple((at, ways[dtype]) for at, (_, dtype) in enumerate(self.fields) if dtype in ways)

    def keys(self, namespace: bytes, frame: pl.DataFrame) -> list[bytes]:
        """Return the key of each row's entity."""
        columns = {name: frame[name] for name, _ in self.entities}
        only = next(iter(columns.values()))
        if len(columns) == 1 and only.dtype == pl.Int64:
            return _spliced(namespace, only.to_numpy().astype("<i8").tobytes(), width=8)
        entities = self.encoder({name: column.to_list() for name, column in columns.items()})
        return [namespace + entity for entity in entities]

    def pack(self, frame: pl.DataFrame, *, generation: int) -> list[bytes]:
        """Return the value of each row: columns `TIME`, `ARRIVED` (microseconds), `VERSION` and the fields."""
        head = len(array_head(len(self.fields)))
        rows = zip(orders(frame, generation), self.plain(frame), strict=True)
        return [order + _encode(fields)[head:] for order, fields in rows]

    def plain(self, frame: pl.DataFrame) -> Iterable[Sequence[Any]]:
        """Yield the fields of each row as what MessagePack can write."""
        rows = frame.select(_plain(name, dtype) for name, dtype in self.schema.items()).iter_rows()
        return map(_with_vectors, rows) if _VECTOR in self.schema.values() else rows


def orders(frame: pl.DataFrame, generation: int) -> list[bytes]:
    """Return the order of each row: columns `TIME`, `ARRIVED` and `VERSION`."""
    made = np.empty(frame.height, dtype=_ORDERS)
    made["generation"] = generation
    for name in (TIME, ARRIVED, VERSION):
        made[name] = (frame[name].cast(pl.Int64).to_numpy() + _SHIFT).view(np.uint64)
    return _spliced(b"", made.tobytes(), width=ORDER)


def packed(fields: Sequence[Any]) -> bytes:
    """Return fields in MessagePack, one after another."""
    return _encode(fields)[len(array_head(len(fields))) :]


def array_head(size: int) -> bytes:
    """Return what stands before the items of an array in MessagePack."""
    if size < 16:
        return bytes([0x90 | size])
    return b"\xdc" + size.to_bytes(2) if size < 1 << 16 else b"\xdd" + size.to_bytes(4)


def as_bytes(moment: int) -> bytes:
    """Return a moment of the year 1 to 9999, in microseconds since 1970, as it stands in values."""
    return (moment + _SHIFT).to_bytes(8)


def from_bytes(raw: bytes) -> int:
    """Return the moment that `as_bytes` made."""
    return int.from_bytes(raw) - _SHIFT


def is_before(order: bytes, generation: int) -> bool:
    """Say whether a value's order is of an earlier generation."""
    return int.from_bytes(order[:4]) < generation


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970."""
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _spliced(prefix: bytes, raw: bytes, *, width: int) -> list[bytes]:
    return [prefix + raw[at : at + width] for at in range(0, len(raw), width)]


def _plain(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name).cast(dtype)
    return column.to_physical() if dtype in (_MOMENT, _DAY) else column


def _with_vectors(row: tuple[Any, ...]) -> list[Any]:
    return [_vector_bytes(value) if isinstance(value, list) else value for value in row]


def _vector_bytes(numbers: list[float]) -> bytes:
    packed = array("f", numbers)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _vector(packed: bytes) -> list[float]:
    numbers = array("f", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def moment(value: int) -> datetime:
    """Return the moment so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=value)


def _day(value: int) -> date:
    return date.fromordinal(_EPOCH_DAY + value)
