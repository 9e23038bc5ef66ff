"""Names for things: sortable ids, and digests of content."""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import time
from typing import Any

import msgspec

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_lock = threading.Lock()
_last = 0


def new_id(prefix: str = "", *, after: str = "") -> str:
    """Return an id that sorts by the time it was made: 48 bits of milliseconds and 80 random ones.

    Ids made by one process sort in the order in which they were made. With a prefix: `run_01k...`. The id sorts after
    the one given as `after`, also where the clock has gone back since that was made.
    """
    global _last
    value = _at(time.time_ns() // 1_000_000)
    with _lock:
        value = value if value > _last else _last + 1
        _last = value
    if value <= _value(after):
        value = _at((_value(after) >> 80) + 1)
    digits = "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{digits}" if prefix else digits


def _at(milliseconds: int) -> int:
    return milliseconds << 80 | int.from_bytes(os.urandom(10))


def _value(made: str) -> int:
    return functools.reduce(lambda sum_, digit: sum_ << 5 | _ALPHABET.index(digit), made[-26:], 0)


def digest_of_bytes(data: bytes) -> str:
    """Return `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: keys sorted, no white space."""
    return msgspec.json.encode(value, order="sorted")


def digest_of(value: Any) -> str:
    """Return the digest of a value's canonical JSON; equal values have equal digests everywhere."""
    return digest_of_bytes(canonical(value))
