"""The access log: one line of JSON for each request, without its body and without secrets.

Lines are buffered, and written every second by a thread of its own, so that no request and no event loop waits for the disk
or for whoever reads standard output; what cannot be written, or would have to wait with too much, is counted and given up.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path

import msgspec

from treadle.core.clock import Clock
from treadle.serving.notes import Notes
from treadle.serving.web import Response

_log = logging.getLogger("treadle.serving")
#: Bytes from which on lines are written at once, and characters of a path or an id that are kept.
_FULL, _LONGEST = 64 * 1024, 200
#: Bytes of lines that may wait to be written, and seconds that are waited for them at the end.
MOST_WAITING, _PATIENCE = 8 * 1024 * 1024, 5.0
#: Characters that command a terminal or end a line somewhere, though JSON allows them.
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


class Line(msgspec.Struct, omit_defaults=True):
    """A request."""

    at: str
    method: str
    path: str
    status: int
    seconds: float
    client: str = ""
    id: str = ""
    trace: str = ""
    endpoint: str = ""
    revision: int = 0
    version: int = 0
    variant: str = ""
    rows: int = 0


class AccessLog:
    """Writes lines to a file, or to standard output where its name is `-`."""

    def __init__(self, place: str, root: Path, clock: Clock) -> None:
        """Prepare it; a relative name starts at the project's folder."""
        self._path = None if place == "-" else root / place
        self._clock = clock
        self._lines: list[bytes] = []
        self._size = 0
        #: What the thread has not written yet: bytes, and how many lines they are.
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_size = 0
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._ended = self._is_failing = False
        self._thread: threading.Thread | None = None
        #: Lines that could not be written.
        self.dropped = 0

    def saw(self, notes: Notes, response: Response, ended: float) -> None:
        """Take a request down."""
        answer, scope = notes.answer, notes.scope
        line = Line(
            at=self._clock.now().isoformat(timespec="milliseconds"),
            method=scope.method[:20],
            path=scope.path[:_LONGEST],
            status=response.status,
            seconds=round(ended - notes.received, 6),
            client=scope.client,
            trace=notes.trace,
            endpoint=notes.endpoint[:_LONGEST],
        )
        if answer is not None:
            line.id, line.revision, line.rows = answer.id, answer.revision, answer.batch.rows
            line.version, line.variant = answer.variant.version, answer.variant.name
        self.take(line)

    def take(self, line: msgspec.Struct) -> None:
        """Take a line down, whatever it says; what would command a terminal is escaped."""
        written = msgspec.json.encode(line)
        if not written.isascii() or b"\x7f" in written:
            written = written.decode().translate(_ESCAPED).encode()
        self._lines.append(written)
        self._size += len(written)
        if self._size > _FULL:
            self.flush()

    def flush(self) -> None:
        """Let what is buffered be written; several processes may write to the same file."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        data = b"\n".join(lines) + b"\n"
        with self._lock:
            if self._waiting_size + len(data) > MOST_WAITING or self._ended:
                self.dropped += len(lines)
                return
            self._waiting.append((data, len(lines)))
            self._waiting_size += len(data)
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="treadle-access-log", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Write what is left; what takes too long is given up."""
        self.flush()
        with self._lock:
            self._ended = True
        if self._thread is not None:
            self._wake.set()
            self._thread.join(_PATIENCE)
        with self._lock:
            self.dropped += sum(lines for _, lines in self._waiting)
            self._waiting.clear()

    def _failed(self, error: Exception, lines: int) -> None:
        """Count lines that could not be written, and say so once until they can be."""
        with self._lock:
            self.dropped += lines
        if not self._is_failing:
            place = self._path or "standard output"
            _log.warning("access log: lines are dropped, %s: %s: %s", place, type(error).__name__, error)
        self._is_failing = True

    def _write(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                data, lines = self._waiting[0]
                try:
                    _append(self._path, data)
                except Exception as error:  # noqa: BLE001 - also what is raised of an output that was closed; the next lines may do
                    self._failed(error, lines)
                else:
                    self._is_failing = False
                with self._lock:
                    if not self._waiting:
                        return  # it was given up
                    self._waiting.popleft()
                    self._waiting_size -= len(data)
            if self._ended:
                return


def _append(path: Path | None, data: bytes) -> None:
    """Append in one call; the file is opened each time, so that it can be moved away meanwhile.

    Raises:
        OSError: not all of it was written.
    """
    if path is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        if os.write(handle, data) < len(data):
            msg = "no space is left"
            raise OSError(msg)
    finally:
        os.close(handle)
