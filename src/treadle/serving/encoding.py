"""Python values of one request column → the array that the model is fed, with the same bits as in training.

`core.signature.encode_series` does this for frames; here it is done for lists, because a frame for one row costs
more than the model. A test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field

#: What a value of each kind is called in messages.
DESCRIBED = {
    "integer": "an integer",
    "float": "a number",
    "boolean": "true or false",
    "string": "a string",
    "category": "a string",
    "timestamp": "a moment as ISO 8601 text, as 2013-01-01T05:15:00Z",
    "date": "a date as YYYY-MM-DD",
}
#: The Python type that a value of each kind is decoded to.
PYTHON: dict[str, type] = {
    "integer": int,
    "float": float,
    "boolean": bool,
    "string": str,
    "category": str,
    "timestamp": datetime,
    "date": date,
}
_EPOCH, _NAIVE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)  # noqa: DTZ001 - for naive moments
_MICRO = timedelta(microseconds=1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LARGEST = float(np.finfo(np.float32).max)
_FEW = 16


def described(field: Field) -> str:
    """Return what a field takes, in words."""
    return DESCRIBED[field.kind] + (" or null" if field.nullable else "")


def encode(field: Field, values: Sequence[Any], *, place: Callable[[int], str]) -> np.ndarray:
    """Turn decoded values (None: missing) into an array of shape (rows,) of the field's tensor type.

    Raises:
        InvalidInput: a number is NaN where nothing may be missing, infinite, or too large for its tensor;
            `place(row)` names it.
    """
    if field.tensor == "string":
        return np.array([value if value is not None else "" for value in values], dtype=object)
    if field.kind == "timestamp":
        values = [None if value is None else micros(value) for value in values]
        if field.tensor == "float32":
            days = np.array(values, dtype=np.float64) / 86_400e6
            return days.astype(np.float32)
    elif field.kind == "date":
        values = [None if value is None else value.toordinal() - _EPOCH_DAY for value in values]
    if field.tensor == "int64" or field.kind == "integer":
        return _integers(field, values, place)
    _check_finite(field, values, place)
    return np.array(values, dtype=np.float64).astype(np.float32)


def micros(moment: datetime) -> int:
    """Return the microseconds since 1970; a moment without a zone is taken to be UTC."""
    return (moment - (_NAIVE_EPOCH if moment.tzinfo is None else _EPOCH)) // _MICRO


def moment(value: int) -> datetime:
    """Return the UTC moment of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


def day(value: int) -> date:
    """Return the date of so many days since 1970-01-01."""
    return date.fromordinal(value + _EPOCH_DAY)


def _integers(field: Field, values: Sequence[Any], place: Callable[[int], str]) -> np.ndarray:
    gaps = [value is None for value in values] if field.nullable else []
    try:
        whole = np.array([value or 0 for value in values] if any(gaps) else values, dtype=np.int64)
    except OverflowError as error:
        row = next(i for i, value in enumerate(values) if value is not None and not -(2**63) <= value < 2**63)
        raise _refused(field, values[row], place(row), "an integer of 64 bits") from error
    if field.tensor == "int64":
        return whole
    encoded = whole.astype(np.float32)
    if any(gaps):
        encoded[np.array(gaps)] = np.nan
    return encoded


def _check_finite(field: Field, values: Sequence[Any], place: Callable[[int], str]) -> None:
    if len(values) > _FEW:
        array = np.abs(np.array(values, dtype=np.float64))
        fine = (array <= _LARGEST) | (np.isnan(array) if field.nullable else False)
        if fine.all():
            return
        suspects: Sequence[int] = np.flatnonzero(~fine).tolist()
    else:
        suspects = range(len(values))
    for row in suspects:
        value = values[row]
        if value is None or -_LARGEST <= value <= _LARGEST or (value != value and field.nullable):
            continue
        raise _refused(field, value, place(row), f"{described(field)}, finite and at most 3.4e38")


def _refused(field: Field, value: Any, place: str, expected: str) -> InvalidInput:
    msg = f"Field {field.name!r} is {value!r}. Expected {expected}."
    return InvalidInput(msg, field=place)
