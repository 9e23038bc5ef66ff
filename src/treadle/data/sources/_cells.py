"""Cells of a database: rows of a cursor as columns, and columns as the types that a dataset can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from treadle.data.raw import Raw
from treadle.data.types import Kind, convert

#: What cells of a column may be, when the declared type does not hold: SQLite stores what it is given.
_CLASSES: dict[type, pl.DataType] = {
    int: pl.Int64(),
    float: pl.Float64(),
    str: pl.String(),
    bool: pl.Boolean(),
    bytes: pl.Binary(),
}

#: How columns are held, by the test that Ibis types have.
_HELD: dict[str, pl.DataType] = {
    "is_boolean": pl.Boolean(),
    "is_unsigned_integer": pl.UInt64(),
    "is_integer": pl.Int64(),
    "is_floating": pl.Float64(),
    "is_date": pl.Date(),
    "is_string": pl.String(),
    "is_binary": pl.Binary(),
}


def dtype_of(dtype: Any, *, loose: bool = False) -> pl.DataType | None:
    """Return how a column of an Ibis type is held; None: as its cells are.

    `loose` is SQLite, which keeps moments as text, and exact numbers as integers or floats.
    """
    if loose and (
        dtype.is_timestamp() or dtype.is_date() or dtype.is_time() or dtype.is_uuid() or dtype.is_json()
    ):
        return pl.String()
    if dtype.is_decimal():
        is_exact = not loose and dtype.precision is not None and dtype.scale is not None
        return pl.Decimal(dtype.precision, dtype.scale) if is_exact else pl.Float64()
    if dtype.is_timestamp():
        return pl.Datetime("us", "UTC" if dtype.timezone else None)
    return next((held for test, held in _HELD.items() if getattr(dtype, test)()), None)


def raw_of(file: str, frame: pl.DataFrame, *, types: Mapping[str, Any], mixed: frozenset[str]) -> Raw:
    """Return rows of a database as landed rows: text that the database calls a moment as one, exact integers as integers.

    An exact integer that does not fit into 64 bits makes its row a broken one.
    """
    broken: dict[int, str] = {}
    columns = []
    for cells in frame.get_columns():
        dtype = types[cells.name]
        if isinstance(cells.dtype, pl.Decimal) and cells.dtype.scale == 0:
            columns.append(_whole(cells, broken))
        elif cells.dtype == pl.String and cells.name not in mixed and (kind := _declared(dtype)):
            typed = convert(cells, kind, form="text")
            columns.append(typed if typed.null_count() == cells.null_count() else cells)
        elif dtype.is_boolean() and cells.dtype == pl.Int64 and cells.is_in([0, 1]).all():
            columns.append(cells.cast(pl.Boolean))
        else:
            columns.append(cells)
    return Raw(file=file, frame=pl.DataFrame(columns), form="typed", mixed=mixed, broken=broken)


def _declared(dtype: Any) -> Kind | None:
    if dtype.is_timestamp():
        return "datetime"
    return "date" if dtype.is_date() else None


def _whole(cells: pl.Series, broken: dict[int, str]) -> pl.Series:
    whole = cells.cast(pl.Int64, strict=False)
    if whole.null_count() > cells.null_count():
        for index in (whole.is_null() & cells.is_not_null()).arg_true():
            broken[index + 1] = f"{cells.name}: {int(cells[index])} does not fit into 64 bits"
    return whole


class Cells:
    """Collects the rows of queries; each piece becomes columns at once, so that few Python values are held."""

    def __init__(self, wanted: dict[str, pl.DataType | None]) -> None:
        self._wanted = wanted
        self._pieces: dict[str, list[pl.Series]] = {name: [] for name in wanted}
        self._mixed: set[str] = set()
        #: Number of rows.
        self.height = 0

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add some rows."""
        self.height += len(rows)
        for (name, dtype), values in zip(self._wanted.items(), zip(*rows, strict=True), strict=True):
            self._pieces[name].append(_series(name, values, dtype))

    def add_frame(self, frame: pl.DataFrame) -> None:
        """Add rows that are columns already."""
        self.height += frame.height
        for name, cells in zip(self._wanted, frame.get_columns(), strict=True):
            self._pieces[name].append(cells.alias(name))

    def frame(self) -> tuple[pl.DataFrame, frozenset[str]]:
        """Return all rows, and the columns whose cells are JSON texts because they are of several types."""
        columns = [self._joined(name, pieces) for name, pieces in self._pieces.items()]
        return pl.DataFrame(columns), frozenset(self._mixed)

    def _joined(self, name: str, pieces: list[pl.Series]) -> pl.Series:
        kinds = {piece.dtype for piece in pieces} - {pl.Null()}
        if not kinds:
            dtype = self._wanted[name] or pl.String()
            return pl.Series(name, [None] * sum(map(len, pieces)), dtype=dtype)
        if len(kinds) == 1 and pl.Object() not in kinds:
            return pl.concat([piece.cast(next(iter(kinds))) for piece in pieces])
        self._mixed.add(name)
        texts = [_json(value) for piece in pieces for value in piece.to_list()]
        return pl.Series(name, texts, dtype=pl.String)


def _series(name: str, values: Sequence[Any], dtype: pl.DataType | None) -> pl.Series:
    """Return cells as the wanted type, else as the one type that they have, else as Python objects."""
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, pl.exceptions.PolarsError, OverflowError):
        pass
    classes = {type(value) for value in values} - {type(None)}
    if classes == {int, float} and dtype == pl.Float64():
        return pl.Series(name, [None if v is None else float(v) for v in values], dtype=dtype)
    kind = _CLASSES.get(next(iter(classes))) if len(classes) == 1 else None
    return pl.Series(name, values, dtype=kind or pl.Object())


def _json(value: Any) -> str | None:
    """Return a cell as JSON text; bytes as their hexadecimal digits."""
    if value is None:
        return None
    return msgspec.json.encode(value.hex() if isinstance(value, bytes) else value).decode()
