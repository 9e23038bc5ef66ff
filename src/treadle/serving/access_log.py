"""The access log: one line of JSON for each request, without its body and without secrets.

Lines are buffered and written every second, so that a request never waits for the disk; what cannot be written is
counted and given up.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from treadle.core.clock import Clock
from treadle.serving.notes import Notes
from treadle.serving.web import Response

#: Bytes from which on lines are written at once, and characters of a path or an id that are kept.
_FULL, _LONGEST = 64 * 1024, 200
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
        written = msgspec.json.encode(line)
        if not written.isascii() or b"\x7f" in written:
            written = written.decode().translate(_ESCAPED).encode()
        self._lines.append(written)
        self._size += len(written)
        if self._size > _FULL:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered; several processes may write to the same file."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        data = b"\n".join(lines) + b"\n"
        try:
            _append(self._path, data)
        except OSError:
            self.dropped += len(lines)


def _append(path: Path | None, data: bytes) -> None:
    """Append in one call; the file is opened each time, so that it can be moved away meanwhile."""
    if path is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    with suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)
