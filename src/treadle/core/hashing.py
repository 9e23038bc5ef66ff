"""The one hash that decides splits and traffic: scheme `xxh64-v1`, the same on every platform for ever.

    bucket = XXH64(canonical bytes of the key, seed = XXH64(salt)) mod 10 000

Canonical bytes: an integer is 8 bytes little-endian (two's complement); a string is its UTF-8, not normalised;
a boolean is the integer 0 or 1; a date is the integer of its days since 1970-01-01; a moment is the integer of
its microseconds since 1970-01-01T00:00Z; a UUID is its 36-character lower-case text; null is the byte 0x00.
A key of several columns is, for each column, a tag byte (0x00 null, 0x01 integer, 0x02 string), the length of its
canonical bytes as 8 bytes little-endian, and those bytes. XXH64 is specified by its author and fixed since 2014.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import xxhash

from treadle.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: The id of this scheme, stored with every split.
SCHEME = "xxh64-v1"
#: The number of buckets: the finest fraction is one in 10,000.
BUCKETS = 10_000
_BLOCK = 1 << 15
_NULL, _INTEGER, _STRING = b"\x00", b"\x01", b"\x02"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def seed_of(salt: str) -> int:
    """Return the 64-bit seed of a salt."""
    return xxhash.xxh64_intdigest(salt.encode())


def bucket(key: Any, *, salt: str) -> int:
    """Return the bucket, 0 to 9,999, of one key: a value, or a tuple of values.

    >>> bucket("N14228", salt="flights")
    4828
    """
    return xxhash.xxh64_intdigest(key_bytes(key), seed=seed_of(salt)) % BUCKETS


def buckets(columns: Sequence[Sequence[Any]], *, salt: str) -> npt.NDArray[np.uint16]:
    """Return the buckets of many keys, given as one sequence (list or NumPy array) for each key column.

    One column of 64-bit integers is hashed without a Python loop, one of strings with a short one.
    """
    import numpy as np

    seed = seed_of(salt)
    if len(columns) == 1:
        only: Any = columns[0]
        if isinstance(only, np.ndarray) and only.dtype.kind == "i":
            found = np.empty(len(only), dtype=np.uint16)
            # Block by block: what is computed in between stays in the processor's cache.
            for start in range(0, len(only), _BLOCK):
                block = only[start : start + _BLOCK].astype(np.int64, copy=False)
                found[start : start + _BLOCK] = _xxh64_int64(block, seed) % np.uint64(BUCKETS)
            return found
        texts = set(map(type, only)) == {str}
        keys: Any = map(str.encode, only) if texts else (key_bytes(value) for value in only)
    else:
        keys = (key_bytes(values) for values in zip(*columns, strict=True))
    digest = xxhash.xxh64_intdigest
    return np.fromiter(
        (digest(key, seed=seed) % BUCKETS for key in keys), dtype=np.uint16, count=len(columns[0])
    )


def key_bytes(key: Any) -> bytes:
    """Return the canonical bytes of a key; a one-column tuple is the same as its only value."""
    if not isinstance(key, tuple):
        return _tagged(key)[1]
    if len(key) == 1:
        return _tagged(key[0])[1]
    parts = (_tagged(value) for value in key)
    return b"".join(tag + struct.pack("<Q", len(body)) + body for tag, body in parts)


def _tagged(value: Any) -> tuple[bytes, bytes]:
    if isinstance(value, str):
        return _STRING, value.encode()
    if value is None:
        return _NULL, _NULL
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        delta = moment - _EPOCH
        return _INTEGER, _int64((delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds)
    if isinstance(value, date):
        return _INTEGER, _int64(value.toordinal() - _EPOCH_DAY)
    if isinstance(value, uuid.UUID):
        return _STRING, str(value).encode()
    try:
        return _INTEGER, _int64(value.__index__())
    except (AttributeError, struct.error) as error:
        msg = (
            f"A key of type {type(value).__name__} ({value!r}) cannot be split by hash. "
            "Expected a 64-bit integer, a string, a boolean, a date, a datetime or a UUID."
        )
        raise InvalidInput(msg) from error


def _int64(value: int) -> bytes:
    return struct.pack("<q", value)


def _xxh64_int64(values: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """XXH64 of 8-byte inputs (xxHash specification 0.1.1, steps 1 (short input), 5 and 6), vectorised."""
    import numpy as np

    p1, p2, p3, p4, p5 = (
        np.uint64(p)
        for p in (
            0x9E3779B185EBCA87,
            0xC2B2AE3D27D4EB4F,
            0x165667B19E3779F9,
            0x85EBCA77C2B2AE63,
            0x27D4EB2F165667C5,
        )
    )

    def rotate(x: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint64]:
        return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))

    with np.errstate(over="ignore"):
        lane = rotate(values.view(np.uint64) * p2, 31) * p1
        acc = (np.uint64(seed) + p5 + np.uint64(8)) ^ lane
        acc = rotate(acc, 27) * p1 + p4
        acc = (acc ^ (acc >> np.uint64(33))) * p2
        acc = (acc ^ (acc >> np.uint64(29))) * p3
        return acc ^ (acc >> np.uint64(32))
