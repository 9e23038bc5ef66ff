"""What takes long to read is read beside the pages: they show the newest that is there, and refresh when there is a newer one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from treadle.core.clock import monotonic
from treadle.core.errors import TreadleError

T = TypeVar("T")
#: Things that are kept at most: the ones that were not asked for the longest go first.
_MOST = 500
#: Reading again may take so much of the time.
_SHARE = 0.1


@dataclass
class _Entry:
    value: Any = None
    is_there: bool = False
    error: str = ""
    stamp: str = ""
    read_at: float = 0.0
    took: float = 0.0
    future: Future[None] | None = None


class Kept:
    """What was read of one workspace, by key; without `patience` (seconds) everything is read at once, as in tests."""

    def __init__(self, patience: float | None = None) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._entries: dict[tuple[Any, ...], _Entry] = {}
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kept")
        #: How often something newer came: the live refresh looks at it.
        self.turns = 0

    def get(self, key: tuple[Any, ...], read: Callable[[], T], *, stamp: str = "") -> T | None:
        """Return what was read; None: it is being read. It is read again when its stamp is another one.

        Raises:
            TreadleError: reading failed, at once or the last time.
        """
        with self._lock:
            entry = self._entries.pop(key, None) or _Entry()
            self._entries[key] = entry
            for old in list(self._entries)[:-_MOST]:
                del self._entries[old]
            is_due = not (entry.is_there or entry.error) or entry.stamp != stamp
            rested = monotonic() - entry.read_at >= entry.took * (1 / _SHARE - 1) or not entry.read_at
            if is_due and entry.future is None and (rested or self._patience is None):
                entry.future = self._threads.submit(self._read, entry, read, stamp)
            future = entry.future
        if future is not None and is_due:
            wait_for([future], timeout=self._patience)
        if entry.error and not entry.is_there:
            raise TreadleError(entry.error)
        return cast("T | None", entry.value)

    def close(self) -> None:
        """Read no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, entry: _Entry, read: Callable[[], Any], stamp: str) -> None:
        begun, value, failed = monotonic(), None, "it could not be read: see the server's log"
        try:
            value, failed = read(), ""
        except TreadleError as error:
            failed = str(error)
        finally:
            # Whoever asked for it has the lock until the future is in its place.
            with self._lock:
                entry.read_at, entry.took = monotonic(), monotonic() - begun
                entry.stamp, entry.future, entry.error = stamp, None, failed
                if not failed:
                    entry.value, entry.is_there = value, True
                self.turns += 1


class Keeping:
    """What is kept of each workspace that a server has opened."""

    def __init__(self, patience: float = 0.2) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._of: weakref.WeakKeyDictionary[Any, Kept] = weakref.WeakKeyDictionary()

    def of(self, workspace: object) -> Kept:
        """Return what is kept of a workspace."""
        with self._lock:
            if workspace not in self._of:
                self._of[workspace] = Kept(self._patience)
            return self._of[workspace]
