"""Names for things: sortable ids, and digests of content."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import threading
import time
from typing import Any

import msgspec

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_AS_DIGITS = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
_FOLLOWING = dict(itertools.pairwise(_ALPHABET))
#: Digits of an id's moment and of its random rest, and how many random ones are drawn at once.
_MOMENT, _RANDOM, _DRAWN = 10, 16, 4096
_lock = threading.Lock()
_last = _waiting = ""
_used = 0


def new_id(prefix: str = "", *, after: str = "") -> str:
    """Return an id that sorts by the time it was made: 48 bits of milliseconds and 80 random ones.

    Ids made by one process sort in the order in which they were made. With a prefix: `run_01k...`. The id sorts after
    the one given as `after`, also where the clock has gone back since that was made.
    """
    global _last
    moment = _moment(time.time_ns() // 1_000_000)
    with _lock:
        made = moment + _random()
        if made <= _last:
            made = _following(_last)
        _last = made
        if after and made <= after[-(_MOMENT + _RANDOM) :]:
            made = _following(after[-(_MOMENT + _RANDOM) : -_RANDOM]) + _random()
    return f"{prefix}_{made}" if prefix else made


@functools.lru_cache(maxsize=4)
def _moment(milliseconds: int) -> str:
    """Return the digits of a moment; many ids are made within one."""
    return "".join(_ALPHABET[milliseconds >> 5 * place & 31] for place in reversed(range(_MOMENT)))


def _random() -> str:
    """Return random digits, of which many are drawn at once; the lock is held."""
    global _waiting, _used
    if _used == len(_waiting):
        _waiting, _used = os.urandom(_DRAWN).translate(_AS_DIGITS).decode(), 0
    _used += _RANDOM
    return _waiting[_used - _RANDOM : _used]


def _following(digits: str) -> str:
    """Return the number that is one more, in as many digits."""
    kept = digits.rstrip(_ALPHABET[-1])
    return kept[:-1] + _FOLLOWING[kept[-1]] + _ALPHABET[0] * (len(digits) - len(kept))


def _forget_random() -> None:
    """Let a process that was forked draw random digits of its own, and not go on from its parent's last id."""
    global _waiting, _used, _last
    _waiting, _used, _last = "", 0, ""


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_forget_random)


def digest_of_bytes(data: bytes) -> str:
    """Return `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: keys sorted, no white space."""
    return msgspec.json.encode(value, order="sorted")


def digest_of(value: Any) -> str:
    """Return the digest of a value's canonical JSON; equal values have equal digests everywhere."""
    return digest_of_bytes(canonical(value))
