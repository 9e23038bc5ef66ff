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
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
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
    if after and value <= _value(after):
        value = _at((_value(after) >> 80) + 1)
    digits = _digits(value)
    return f"{prefix}_{digits}" if prefix else digits


def _digits(value: int) -> str:
    """Return the 26 digits of a number of 128 bits, two at a time from a table."""
    pairs, high, low = _PAIRS, value >> 60, value & (1 << 60) - 1
    return (
        pairs[high >> 60]
        + pairs[high >> 50 & 1023]
        + pairs[high >> 40 & 1023]
        + pairs[high >> 30 & 1023]
        + pairs[high >> 20 & 1023]
        + pairs[high >> 10 & 1023]
        + pairs[high & 1023]
        + pairs[low >> 50]
        + pairs[low >> 40 & 1023]
        + pairs[low >> 30 & 1023]
        + pairs[low >> 20 & 1023]
        + pairs[low >> 10 & 1023]
        + pairs[low & 1023]
    )


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
