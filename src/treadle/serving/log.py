"""The log that a server writes: entries go to a buffer, one thread writes them to segments and forces them to the disk.

With `durability="sync"` an entry is on the disk before its request is answered; requests that come at the same time
share one write. With `"async"` the buffer is written every `flush_interval` seconds, and what does not fit into it is
dropped and counted. A disk that fails or is full never stops the server: writing is tried again until it works.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from treadle.core.clock import SystemClock, monotonic
from treadle.core.errors import StoreUnavailable
from treadle.serving import spool, wal
from treadle.serving.discretion import Discretion
from treadle.serving.entries import Entry, join, pack
from treadle.serving.spool import LOCK as LOCK
from treadle.serving.spool import LOGS as LOGS
from treadle.store.failures import of_os_error
from treadle.store.files import make_folder

#: Called with None when an entry is on the disk, or with what went wrong.
Done = Callable[[StoreUnavailable | None], None]
#: An entry's bytes, and whom to tell.
Item = tuple[bytes, Done | None]

_PROBE = b"\xc0"
_IDLE = 1.0
#: Seconds between tries to lock a new folder.
_LOOKS = (0.001, 0.01, 0.03, 0.1, 0.3)
#: Bytes that are written at once: on a disk that is nearly full, some of what waits still fits.
_PIECE = 64 * 1024


class PredictionLog:
    """One process's log, in a folder of its own that it holds a lock on while it lives."""

    def __init__(
        self,
        root: Path,
        *,
        server: str,
        durability: Literal["async", "sync"] = "async",
        flush_interval: float = 0.5,
        buffer: int = 32 * 1024 * 1024,
        seal_bytes: int = 2 * 1024 * 1024,
        seal_after: float = 30.0,
        max_spool: int = 4 * 1024**3,
        discretion: Discretion | None = None,
    ) -> None:
        """Prepare a log for the project at `root`; `buffer`, `seal_bytes` and `max_spool` are bytes, the rest seconds.

        `max_spool` is how much may wait for the tables, of all logs of the project on this machine.
        `discretion` says what of an entry is kept; None: everything.
        """
        self.server, self.folder = server, root / LOGS / server
        self.durability = durability
        self._flush_interval, self._limit = flush_interval, buffer
        self._seal_bytes, self._seal_after = seal_bytes, seal_after
        self._max_spool, self._is_full = max_spool, False
        self._discretion = discretion
        # Taken by itself where nobody has to be told: a condition takes several times as long.
        self._lock_of_buffer = threading.Lock()
        self._changed = threading.Condition(self._lock_of_buffer)
        self._waiting: list[Item] = []
        self._waiting_bytes = 0
        self._closing = self._seal_now = False
        self._segment: wal.Segment | None = None
        self._segment_since = 0.0
        self._number = 0
        self._lock = -1
        self._thread: threading.Thread | None = None
        #: Entries that were given up because the buffer was full, since the start.
        self.dropped = 0
        #: Requests that were not in the sample, since the start.
        self.left_out = 0
        #: What keeps the log from being written now; None: it is written.
        self.problem: StoreUnavailable | None = None

    @property
    def buffered(self) -> int:
        """Bytes that wait to be written."""
        return self._waiting_bytes

    @property
    def spooled(self) -> int:
        """Bytes of segments that have not been shipped yet."""
        with suppress(FileNotFoundError):
            return sum(path.stat().st_size for path in wal.segments(self.folder))
        return 0

    @property
    def lag(self) -> float:
        """Seconds since the oldest complete segment that has not been shipped was written; 0: there is none."""
        with suppress(FileNotFoundError, StopIteration):
            oldest = next(path for path in wal.segments(self.folder) if path.suffix == wal.SEALED)
            return max(0.0, SystemClock().now().timestamp() - oldest.stat().st_mtime)
        return 0.0

    def start(self) -> None:
        """Start the thread that writes."""
        self._write_out([_PROBE], [])
        self._look_at_spool()
        self._thread = threading.Thread(target=self._run, name="treadle-log", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> bool:
        """Buffer an entry and return at once; False: the buffer is full and the entry was dropped."""
        payload = pack(entry) if self._discretion is None else self._payload(entry)
        if payload is None:
            return True
        with self._lock_of_buffer:
            if self._refuses(payload):
                self.dropped += 1
                return False
            self._waiting.append((payload, None))
            self._waiting_bytes += len(payload)
        return True

    def commit(self, entry: Entry, done: Done) -> None:
        """Write an entry as soon as possible and then call `done`, from the thread that writes.

        Raises:
            StoreUnavailable: the buffer is full, or the log is closed.
        """
        payload = self._payload(entry)
        if payload is None:
            done(None)
            return
        with self._changed:
            if self._refuses(payload):
                self.dropped += 1
                raise self.problem or StoreUnavailable(self._refusal())
            self._waiting.append((payload, done))
            self._waiting_bytes += len(payload)
            self._changed.notify()

    def seal(self) -> None:
        """Ask the thread to complete the present segment, so that it can be shipped."""
        with self._changed:
            self._seal_now = True
            self._changed.notify()

    def close(self, *, timeout: float = 10.0) -> None:
        """Write what is buffered, complete the segment and stop; the folder is free for another process."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread:
            self._thread.join(timeout)
        self._release()

    def _payload(self, entry: Entry) -> bytes | None:
        """Return an entry's bytes; None: its request is not in the sample."""
        if self._discretion is None:
            return pack(entry)
        kept = self._discretion.of(entry)
        if kept is None:
            self.left_out += 1
            return None
        return pack(kept)

    def _refuses(self, payload: bytes) -> bool:
        return self._closing or self._is_full or self._waiting_bytes + len(payload) > self._limit

    def _refusal(self) -> str:
        if self._is_full:
            return (
                f"The prediction log {self.folder} takes no more entries: {self._max_spool} bytes wait for the tables "
                "(setting serving.max_spool). See whether the store of the tables answers."
            )
        return f"The prediction log {self.folder} takes no more entries now. Try again in a moment."

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _run(self) -> None:
        sync = self.durability == "sync"
        while True:
            with self._changed:
                if not (self._closing or (sync and self._waiting)):
                    self._changed.wait(_IDLE if sync else self._flush_interval)
                batch, self._waiting = self._waiting, []
                closing, seal_now, self._seal_now = self._closing, self._seal_now, False
            self._flush(batch)
            if closing or seal_now or self._due():
                self._complete()
                self._look_at_spool()
            elif self._is_full:
                self._look_at_spool()
            if closing:
                return

    def _look_at_spool(self) -> None:
        """Note whether so much waits that no more is taken; what waits is looked at when a segment is complete."""
        with suppress(OSError):
            self._is_full = spool.size(self.folder.parent) > self._max_spool

    def _flush(self, batch: list[Item]) -> None:
        if not batch and not self.problem:
            return
        kept: list[Item] = []
        for piece in _pieces(batch) or [[(_PROBE, None)]]:
            # Once the disk has failed, only those who wait for an answer make it be tried again in this round.
            waiting = [done for _, done in piece if done]
            if kept and not waiting:
                kept += piece
            elif self._write_out([payload for payload, _ in piece], waiting):
                kept += [item for item in piece if item[1] is None and item[0] is not _PROBE]
        with self._changed:
            self._waiting = kept + self._waiting
            self._waiting_bytes = sum(len(payload) for payload, _ in self._waiting)
        if kept and self._closing:
            self.dropped += len(kept)
        elif kept:
            threading.Event().wait(self._flush_interval)

    def _write_out(self, payloads: list[bytes], waiting: list[Done]) -> StoreUnavailable | None:
        failure: StoreUnavailable | None = None
        try:
            self._opened().append([join(payloads)])
        except OSError as error:
            failure = of_os_error(error, store="log", place=str(self.folder))
            failure.__cause__ = error
            self._give_up()
        self.problem = failure
        for done in waiting:
            done(failure)
        return failure

    def _opened(self) -> wal.Segment:
        if self._segment is None:
            self._claim()
            self._number += 1
            self._segment = wal.Segment(self.folder, self._number)
            self._segment_since = monotonic()
        return self._segment

    def _claim(self) -> None:
        """Make the folder and lock it, so that others see that its owner lives."""
        if self._lock >= 0 and (self.folder / LOCK).exists():
            return
        self._release()
        for pause in _LOOKS:
            make_folder(self.folder, mode=0o700)
            if self._locks():
                return
            # One who ships looks for a moment whether a folder is left, and takes one that has no owner yet away.
            threading.Event().wait(pause)
        raise OSError(errno.EBUSY, f"another process holds the lock of {self.folder}")

    def _locks(self) -> bool:
        try:
            handle = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except FileNotFoundError:
            return False
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (self.folder / LOCK).stat().st_ino == os.fstat(handle).st_ino:
                self._lock = handle
                return True
        os.close(handle)
        return False

    def _give_up(self) -> None:
        """Leave a segment whose last write failed: what it holds is read up to the failure."""
        segment, self._segment = self._segment, None
        if segment is not None:
            with suppress(OSError):
                segment.seal()

    def _due(self) -> bool:
        if self._segment is None or self._segment.size <= _NOTHING:
            return False
        old = monotonic() - self._segment_since > self._seal_after
        return old or self._segment.size > self._seal_bytes

    def _complete(self) -> None:
        if self._segment is None:
            return
        try:
            self._segment.seal()
        except OSError as error:
            self.problem = of_os_error(error, store="log", place=str(self.folder))
        self._segment = None


def _pieces(batch: list[Item]) -> list[list[Item]]:
    """Return a batch in pieces that are written at once."""
    pieces: list[list[Item]] = []
    size = _PIECE
    for item in batch:
        if size >= _PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(item)
        size += len(item[0])
    return pieces


#: Size of a segment that holds nothing but the probe of its start.
_NOTHING = 8 + 8 + len(_PROBE)
