"""The types that a table keeps, and the exact check that rows meet before they are appended.

delta-rs casts silently on append ("77" becomes 77, 1.9 becomes 1). Here nothing is cast but what is lossless by
type: unsigned integers are kept in the next larger signed type, enumerations and categories as strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from treadle.core.errors import InvalidInput

_KEPT: tuple[type[pl.DataType], ...] = (
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64),
    *(pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Decimal),
)
_WIDENED = {pl.UInt8: pl.Int16(), pl.UInt16: pl.Int32(), pl.UInt32: pl.Int64()}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")


def stored(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame in the types that a table keeps, without loss.

    Raises:
        InvalidInput: a column's type cannot be kept; the message names one that can.
    """
    kinds = {name: stored_type(kind, field=name) for name, kind in frame.schema.items()}
    return frame.cast({name: kind for name, kind in kinds.items() if kind != frame.schema[name]})


def stored_type(kind: pl.DataType, *, field: str) -> pl.DataType:
    """Return the type in which a table keeps a column of another type.

    Raises:
        InvalidInput: it cannot be kept without loss.
    """
    for narrow, wide in _WIDENED.items():
        if kind == narrow:
            return wide
    if isinstance(kind, pl.Enum | pl.Categorical):
        return pl.String()
    if isinstance(kind, _KEPT):
        return kind
    if isinstance(kind, pl.Datetime) and kind.time_unit == "us" and kind.time_zone in {None, "UTC"}:
        return kind
    if isinstance(kind, pl.List):
        return pl.List(stored_type(_instance(kind.inner), field=field))
    if isinstance(kind, pl.Struct):
        return pl.Struct(
            {f.name: stored_type(_instance(f.dtype), field=f"{field}.{f.name}") for f in kind.fields}
        )
    msg = f"Column {field!r} has the type {kind}, which a table cannot keep. {_advice(kind)}"
    raise InvalidInput(msg, field=field)


def check(frame: pl.DataFrame, *, against: Mapping[str, pl.DataType], table: str) -> None:
    """Make sure that rows have exactly the columns of a table: the same names, order and types.

    Raises:
        InvalidInput: they differ; the message names each difference.
    """
    came, expected = dict(frame.schema), dict(against)
    if list(came.items()) == list(expected.items()):
        return
    wrong = [f"column {name!r} is missing" for name in expected if name not in came]
    wrong += [f"column {name!r} is not in the table" for name in came if name not in expected]
    wrong += [
        f"column {name!r} is {came[name]}, expected {kind}"
        for name, kind in expected.items()
        if name in came and came[name] != kind
    ]
    if not wrong:
        wrong = [f"the columns stand in the order {', '.join(came)}, expected {', '.join(expected)}"]
    msg = f"These rows do not fit the table {table!r}: {'; '.join(wrong)}. Nothing was appended."
    raise InvalidInput(msg, field=next(iter([n for n in expected if came.get(n) != expected[n]]), None))


def check_name(name: str) -> None:
    """Make sure that a table's name is one or more words with slashes between.

    Raises:
        InvalidInput: it is not.
    """
    if not _NAME.fullmatch(name):
        msg = (
            f"{name!r} is not a table's name. Expected letters, digits, '_', '-' and '.', as 'flights/rows'."
        )
        raise InvalidInput(msg)


def _instance(kind: Any) -> pl.DataType:
    found: pl.DataType = kind if isinstance(kind, pl.DataType) else kind()
    return found


def _advice(kind: pl.DataType) -> str:
    if isinstance(kind, pl.Datetime):
        return "Cast it to Datetime('us', 'UTC') or Datetime('us')."
    if isinstance(kind, pl.Null):
        return "Give it a type, as String."
    return "Cast it to an integer, a float, a boolean, a string, a date or a datetime."
