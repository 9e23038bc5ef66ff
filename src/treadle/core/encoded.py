"""Records as JSON text."""

from __future__ import annotations

from typing import TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


def to_json(record: msgspec.Struct) -> str:
    """Return a record as JSON text."""
    return msgspec.json.encode(record).decode()


def json_path(name: str) -> str:
    """Return the JSONPath of a field of an object; its name may have quotes of one kind.

    >>> print(json_path("distance"), json_path("driver's id"))
    $['distance'] $["driver's id"]
    """
    quote = '"' if "'" in name else "'"
    return f"$[{quote}{name}{quote}]"


def from_json(text: str | bytes, kind: type[S]) -> S:
    """Read a record from JSON text; unknown keys of a later release are passed over."""
    return msgspec.json.decode(text, type=kind)
