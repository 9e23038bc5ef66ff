"""The words for what goes wrong with a disk, the same in each store."""

from __future__ import annotations

import errno

from treadle.core.errors import StoreFull, StoreReadOnly, StoreUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def of_os_error(error: OSError, *, store: str, place: str) -> StoreUnavailable:
    """Return what an operating system's error means for a store (`ledger`, `objects`, `tables`) at a place."""
    if error.errno in _FULL:
        return full(store, place)
    if error.errno in _READ_ONLY:
        return read_only(store, place, str(error))
    return StoreUnavailable(
        f"The {store} store {place} cannot be used: {error}. See to its folder and its disk."
    )


def full(store: str, place: str) -> StoreFull:
    """Return the error for a disk without space."""
    return StoreFull(
        f"The {store} store {place} cannot grow: no space is left. Free some space and repeat the command."
    )


def read_only(store: str, place: str, reason: str) -> StoreReadOnly:
    """Return the error for a place that may not be written to."""
    return StoreReadOnly(
        f"The {store} store {place} may not be written to ({reason}). Make it writable, or set {store}.url to "
        "another place."
    )
