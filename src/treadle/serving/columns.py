"""Columns as data frames bring them: values that only a frame library would write are put into the words of the signature.

A frame has no missing integer (it becomes a float, with NaN), no missing text (NaN too) and often no date (it becomes a
moment at midnight). What says the same is read as the same; what does not is left for the reader to refuse by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput, closest
from treadle.core.signature import Field
from treadle.serving.entries import key_text
from treadle.serving.requests import Batch, Reader, shown

_MIDNIGHT = time(0)
#: What a key can be made of.
_KEY = (str, int, float, date, type(None))
#: What may stand in the address, and what it says.
QUERY = {
    "id": "The caller's id for the request.",
    "subject": "Who or what the prediction is for.",
    "keys": "The columns by which outcomes will be found, with commas between them.",
}
_KNOWN = ("endpoint", *QUERY)


class Asked(msgspec.Struct, frozen=True):
    """What stands beside the columns in a request."""

    #: The caller's id for the request; empty: one is made.
    id: str = ""
    #: Who or what the prediction is for.
    subject: str | None = None
    #: The columns by which outcomes will be found, or one object of them for each row.
    keys: tuple[str, ...] | list[dict[str, Any]] = ()


def asked(query: Mapping[str, str], params: Mapping[str, Any] | None = None) -> Asked:
    """Read `id`, `subject` and `keys` from parameters of the address (`keys=flight_id,origin`) or of the body.

    Raises:
        InvalidInput: another one came, or one that is not of its kind.
    """
    found: dict[str, Any] = {**query, **(params or {})}
    for name in found:
        if name not in _KNOWN:
            msg = f"Unknown parameter {name[:60]!r}. {closest(name[:60], _KNOWN)}"
            raise InvalidInput(msg, field=f"params.{name[:60]}")
    subject, name = found.get("subject"), found.get("id", "")
    if not isinstance(name, str) or not isinstance(subject, str | int | None):
        msg = f"The id is {shown(name)}, the subject {shown(subject)}. Expected texts."
        raise InvalidInput(msg, field="params")
    return Asked(name, None if subject is None else str(subject), _keys(found.get("keys", "")))


def keys_of(columns: Mapping[str, Sequence[Any]], given: Asked) -> list[str] | None:
    """Return the key of each row as canonical JSON; None: the request names no keys.

    Raises:
        InvalidInput: a key column is not there, or holds what no key can be.
    """
    if not given.keys:
        return None
    if isinstance(given.keys, list):
        return [key_text(key) for key in given.keys]
    missing = next((name for name in given.keys if name not in columns), None)
    if missing is not None:
        msg = f"There is no column {missing[:60]!r} for the keys. {closest(missing[:60], columns)}"
        raise InvalidInput(msg, field="params.keys")
    for name in given.keys:
        row = next((row for row, value in enumerate(columns[name]) if not isinstance(value, _KEY)), None)
        if row is not None:
            msg = f"The key column {name[:60]!r} has {shown(columns[name][row])} in row {row}. Expected texts, numbers, dates."
            raise InvalidInput(msg, field=f"{name[:60]}[{row}]")
    picked = [columns[name] for name in given.keys]
    return [key_text(dict(zip(given.keys, row, strict=True))) for row in zip(*picked, strict=True)]


def read(reader: Reader, columns: Mapping[str, Sequence[Any]], given: Asked) -> Batch:
    """Read columns; one that is only a key is no input.

    Raises:
        InvalidInput: they do not fit the signature; `field` is as `distance[3]`.
    """
    only_keys = set(given.keys) - set(reader.fields) if isinstance(given.keys, tuple) else set()
    for name, values in columns.items():
        reader.check_count(len(values), name)
    fitted = {
        name: _fitted(reader.fields[name], values) if name in reader.fields else values
        for name, values in columns.items()
        if name not in only_keys
    }
    return reader.values(fitted, place=lambda name, row: f"{name}[{row}]")


def of_rows(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Turn rows of values into columns.

    Raises:
        InvalidInput: a row has not one value for each name.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            came = f"{len(row)} values" if isinstance(row, list) else shown(row)
            msg = f"Row {number} is {came}. Expected {len(names)}, one for each of {', '.join(names)[:300]}."
            raise InvalidInput(msg, field=f"data[{number}]")
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())


def _fitted(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    plain = [None if value != value else value for value in values]
    if field.kind in {"integer", "boolean"}:
        return [_whole(field, value) if type(value) is float else value for value in plain]
    return [_date(value) for value in plain] if field.kind == "date" else plain


def _whole(field: Field, value: float) -> Any:
    if field.kind == "boolean":
        return bool(value) if field.nullable and value in {0.0, 1.0} else value
    return int(value) if value.is_integer() else value


def _date(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date() if value.time() == _MIDNIGHT else value
    if isinstance(value, str) and value[10:11] in {"T", " "} and not value[11:].strip("0:.Z"):
        return value[:10]
    return value


def _keys(given: Any) -> tuple[str, ...] | list[dict[str, Any]]:
    if isinstance(given, str):
        return tuple(name for name in given.split(",") if name)
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        return tuple(given)
    try:
        return msgspec.convert(given, list[dict[str, str | int | float | bool | None]])
    except msgspec.ValidationError as error:
        msg = f"The keys are {shown(given)}. Expected names of columns, or one object for each row."
        raise InvalidInput(msg, field="params.keys") from error
