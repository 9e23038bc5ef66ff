"""Tensors of the Open Inference Protocol: what they are called, their bytes, and the values in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field
from treadle.serving.encoding import day, moment

#: Name in the protocol → NumPy type, of the types that have a fixed size.
NUMPY = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_WHOLE = {name for name in NUMPY if "INT" in name}
_FLOATS = {"FP16", "FP32", "FP64"}
#: What each kind of field may come as.
ACCEPTED = {
    "integer": _WHOLE,
    "float": _FLOATS | _WHOLE,
    "boolean": {"BOOL"},
    "string": {"BYTES"},
    "category": {"BYTES"},
    "timestamp": {"INT64", "BYTES"},
    "date": {"INT64", "INT32", "BYTES"},
}
_ACCEPTED = {
    (kind, nullable): frozenset(names | (_FLOATS if nullable and kind in {"integer", "boolean"} else set()))
    for kind, names in ACCEPTED.items()
    for nullable in (False, True)
}
_NAME_OF = {kind: name for name, kind in NUMPY.items()}
_NAMES = {"integer": "INT64", "float": "FP32", "boolean": "BOOL", "timestamp": "INT64", "date": "INT64"}
_LENGTH = struct.Struct("<I")
#: What reads a single value of the usual types, for which NumPy would have to make an array.
_ONE = {name: struct.Struct(f"<{code}") for name, code in {"INT64": "q", "FP32": "f", "FP64": "d"}.items()}


def datatype_of(field: Field) -> str:
    """Return the type that a field is shown with: one that can say everything the field can hold."""
    if not field.nullable or field.kind == "float":
        return _NAMES.get(field.kind, "BYTES")
    return {"timestamp": "BYTES", "date": "BYTES"}.get(
        field.kind, "FP32" if field.kind in _NAMES else "BYTES"
    )


def accepted(field: Field) -> frozenset[str]:
    """Return the types that a field may come as; numbers that may be missing also as floats, with NaN for missing."""
    return _ACCEPTED[field.kind, field.nullable]


def count_of(name: str, shape: Sequence[int]) -> int:
    """Return the number of rows of an input tensor.

    Raises:
        InvalidInput: its shape is not [rows] or [rows, 1].
    """
    dimensions = len(shape)
    if not 0 < dimensions < 3 or shape[0] < 0 or (dimensions == 2 and shape[1] != 1):
        msg = f"Input {name!r} has the shape {list(shape)}. Expected [rows] or [rows, 1]."
        raise InvalidInput(msg, field=name)
    return shape[0]


def check_type(name: str, datatype: str, expected: frozenset[str]) -> None:
    """Refuse an input tensor of another type than its field may come as.

    Raises:
        InvalidInput: as it says.
    """
    if datatype not in expected:
        msg = f"Input {name!r} is {datatype[:20]}. Expected {' or '.join(sorted(expected))}."
        raise InvalidInput(msg, field=name)


def values_of(field: Field, datatype: str, data: Sequence[Any]) -> Sequence[Any]:
    """Return a tensor's values as Python values of the field's kind; a NaN that may be missing becomes None.

    Values that do not fit are passed on as they are: the reader of the signature refuses them by name.
    """
    if datatype in _FLOATS:
        if field.nullable:
            data = [None if value != value else value for value in data]
        if field.kind in {"integer", "boolean"}:
            return [_whole(field, value) for value in data]
        return data
    if field.kind == "timestamp" and datatype != "BYTES":
        return [moment(value) if _is_moment(value) else value for value in data]
    if field.kind == "date" and datatype != "BYTES":
        return [day(value) if _is_day(value) else value for value in data]
    return data


def from_bytes(datatype: str, data: bytes, count: int, *, name: str) -> list[Any]:
    """Read the values of a tensor in binary form.

    Raises:
        InvalidInput: the bytes are not `count` values of that type.
    """
    if datatype == "BYTES":
        return _strings(data, count, name)
    kind = NUMPY[datatype]
    if len(data) != count * kind.itemsize:
        msg = f"Input {name!r} has {len(data)} bytes. Expected {count * kind.itemsize}: {count} values of {datatype}."
        raise InvalidInput(msg, field=name)
    if datatype == "BOOL":
        return [value != 0 for value in data]
    if count == 1 and datatype in _ONE:
        return [*_ONE[datatype].unpack(data)]
    return list(np.frombuffer(data, dtype=kind).tolist())


def to_bytes(values: np.ndarray) -> bytes:
    """Return an output's values in binary form."""
    if values.dtype.kind in "OU":
        encoded = [str(value).encode() for value in values.tolist()]
        return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
    return values.tobytes()


def as_texts(values: np.ndarray) -> np.ndarray:
    """Return an output as it is, or as JSON text where it holds what no tensor can."""
    if values.dtype != object or isinstance(values[0], str):
        return values
    return np.array([msgspec.json.encode(value).decode() for value in values.tolist()], dtype=object)


def datatype_of_array(values: np.ndarray) -> str:
    """Return the type of an output."""
    if values.dtype.kind in "OU":
        return "BYTES"
    return _NAME_OF[values.dtype]


def _strings(data: bytes, count: int, name: str) -> list[str]:
    if count == 1 and len(data) >= _LENGTH.size and _LENGTH.unpack_from(data)[0] == len(data) - _LENGTH.size:
        try:
            return [data[_LENGTH.size :].decode()]
        except UnicodeDecodeError:
            pass  # it is told below
    found: list[str] = []
    place = 0
    while place < len(data) and len(found) <= count:
        if place + _LENGTH.size > len(data):
            break
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        text = data[place : place + length]
        place += length
        try:
            found.append(text.decode())
        except UnicodeDecodeError as error:
            msg = f"Input {name!r} holds bytes that are not UTF-8 in row {len(found)}. Expected text."
            raise InvalidInput(msg, field=f"{name}[{len(found)}]") from error
    if len(found) != count or place != len(data):
        msg = f"Input {name!r} does not hold {count} strings, each after its length in 4 bytes, in its {len(data)} bytes."
        raise InvalidInput(msg, field=name)
    return found


def _whole(field: Field, value: Any) -> Any:
    if not isinstance(value, float) or not value.is_integer():
        return value
    if field.kind == "boolean":
        return bool(value) if value in {0.0, 1.0} else value
    return int(value)


def _is_moment(value: Any) -> bool:
    return type(value) is int and -62_135_596_800_000_000 <= value < 253_402_300_800_000_000


def _is_day(value: Any) -> bool:
    return type(value) is int and -719_162 <= value <= 2_932_896
