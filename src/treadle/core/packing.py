"""Several inputs of a model as one matrix: what a graph does first to each column by itself is done before it is called.

To hand one tensor to a runtime costs as much as ten rows of a model's arithmetic, and a text more than a number. So where a
model's first steps only look texts up in tables, change types and set columns side by side, the matrix that they would
make is made directly, number by number the same.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from treadle.core.signature import Field

if TYPE_CHECKING:
    Values = Mapping[str, Sequence[Any]]

Number = Literal["float32", "float64", "int64"]
_LARGEST = float(np.finfo(np.float32).max)
#: Integers up to here are themselves as float64; beyond, what is rounded twice may end elsewhere.
_EXACT = 2.0**53 - 1
_WHOLE = np.nextafter(2.0**63, 0)
_NAN = float("nan")
#: Rounds a number to the nearest float32, as NumPy does.
_FLOAT32 = struct.Struct("f")


class Column(msgspec.Struct, frozen=True):
    """A column of a matrix."""

    #: The input that it comes from.
    field: str
    #: The types that its numbers go through, one after the other; the last is the matrix's.
    types: tuple[Number, ...]
    #: Of a text, its number; None: the input is a number itself.
    table: dict[str, float] | None = None
    #: The number of a text that the table lacks.
    default: float = 0.0


class Matrix(msgspec.Struct, frozen=True):
    """A tensor of shape (rows, columns) that a model is fed instead of its inputs."""

    name: str
    dtype: Number
    columns: tuple[Column, ...]


def filled(matrix: Matrix, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
    """Return a matrix of encoded inputs, each of shape (rows,)."""
    found = np.empty((rows, len(matrix.columns)), dtype=matrix.dtype)
    for place, column in enumerate(matrix.columns):
        values: Any = columns[column.field]
        if column.table is not None:
            known, default = column.table, column.default
            values = [known.get(text, default) for text in values.tolist()]
        else:
            for kind in column.types[:-1]:
                values = values.astype(kind)
        found[:, place] = values
    return found


class Source(msgspec.Struct, frozen=True):
    """Where a number of a row comes from."""

    field: str
    #: Of a text, its number; None: it is a number itself.
    table: dict[str | None, float] | None
    default: float
    #: The largest number that is taken here.
    limit: float
    may_miss: bool
    #: Whether it is rounded to a float32 on its way.
    is_narrow: bool


class Packer:
    """Makes a matrix of decoded values, as `filled` makes it of what these are encoded to."""

    def __init__(self, matrix: Matrix, fields: Mapping[str, Field]) -> None:
        """Work out once what is the same for all requests.

        Raises:
            ValueError: a column is of a kind whose values are encoded in another way.
        """
        self.name, self.dtype = matrix.name, np.dtype(matrix.dtype)
        self._sources: list[tuple[str, dict[str | None, float] | None, float]] = []
        limits, may_miss, narrow = [], [], []
        for place, column in enumerate(matrix.columns):
            field = fields[column.field]
            if field.kind in {"timestamp", "date"}:
                msg = f"{field.name} is a {field.kind}"
                raise ValueError(msg)
            table: dict[str | None, float] | None = None
            if column.table is not None:
                table = {None: column.table.get("", column.default)}
                table.update(column.table.items())
            self._sources.append((column.field, table, column.default))
            limits.append(_limit(field, column))
            may_miss.append(table is not None or field.nullable)
            if table is None and (field.tensor == "float32" or "float32" in column.types[:-1]):
                narrow.append(place)
        self._limits = np.array(limits)[:, None]
        self._may_miss = np.array(may_miss)[:, None] if any(may_miss) else None
        self._narrow = _run_of(narrow) if matrix.dtype == "float64" else None
        #: Of each column, where its number comes from.
        self.row = [
            Source(*source, limit, miss, place in narrow and self._narrow is not None)
            for place, (source, limit, miss) in enumerate(zip(self._sources, limits, may_miss, strict=True))
        ]
        self._row = [msgspec.structs.astuple(source) for source in self.row]

    def pack(self, values: Values, *, rows: int) -> np.ndarray | None:
        """Return the matrix of the values of a request; None: one of them needs a closer look."""
        if rows == 1 and self.dtype != np.int64:
            one = self._packed_row(values)
            if one is not None:
                return one
        lists = [
            values[name] if table is None else [table.get(text, default) for text in values[name]]
            for name, table, default in self._sources
        ]
        if self.dtype == np.int64:
            return self._whole(lists)
        try:
            numbers = np.array(lists, dtype=np.float64)
        except OverflowError:
            return None
        fine = np.abs(numbers) <= self._limits
        if not fine.all() and (
            self._may_miss is None or not (fine | self._may_miss & np.isnan(numbers)).all()
        ):
            return None
        if self._narrow is not None:
            numbers[self._narrow] = numbers[self._narrow].astype(np.float32)
        return np.ascontiguousarray(numbers.T, dtype=self.dtype)

    def _packed_row(self, values: Values) -> np.ndarray | None:
        """Do for one row with plain numbers what is done below with arrays, which cost more to set up than to use."""
        row = []
        for name, table, default, limit, may_miss, narrow in self._row:
            value = values[name][0]
            if table is not None:
                value = table.get(value, default)
            elif value is None:
                if not may_miss:
                    return None
                value = _NAN
            elif not -limit <= value <= limit:
                return None
            elif narrow:
                value = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
            row.append(value)
        return np.array([row], dtype=self.dtype)

    def _whole(self, lists: Sequence[Sequence[Any]]) -> np.ndarray | None:
        try:
            return np.ascontiguousarray(np.array(lists, dtype=np.int64).T)
        except (OverflowError, TypeError):
            return None


def _limit(field: Field, column: Column) -> float:
    if column.table is not None:
        return float("inf")
    if field.kind == "integer":
        return _EXACT if field.nullable or "float32" in column.types else float(_WHOLE)
    return _LARGEST


def _run_of(places: Sequence[int]) -> Any:
    """Return neighbours as a slice, which is faster than a list; None: there are none."""
    if not places:
        return None
    first, last = places[0], places[-1]
    return slice(first, last + 1) if list(places) == list(range(first, last + 1)) else list(places)
