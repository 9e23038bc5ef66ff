"""Keeps what the trainings of replays left, by their keys, in a folder of bounded size: a second replay trains nothing anew."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from treadle.core.records import Record
from treadle.loop.refitting import Left, Refitted

_ENDING = ".fit"
#: Bytes that say how long the head is.
_SIZE = 8


class _Head(Record, frozen=True, kw_only=True):
    """What stands before the numbers in a file."""

    left: Left
    shape: tuple[int, ...]
    digest: str


@dataclass(frozen=True)
class RefitCache:
    """A folder of results. A file appears whole or not at all; one that does not hold what it says counts as none."""

    folder: Path
    #: Bytes at most; 0: nothing is kept.
    most: int

    def get(self, key: str) -> Refitted | None:
        """Return what a training left; None: it is not there."""
        if self.most <= 0:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return unpacked(data)

    def put(self, key: str, refitted: Refitted) -> None:
        """Keep what a training left; where the disk takes it not, it is trained again the next time."""
        if self.most <= 0:
            return
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(
                self.folder, os.O_TMPFILE | os.O_WRONLY, 0o600
            )  # without a name until it is whole
            with os.fdopen(handle, "wb") as file:
                file.write(packed(refitted))
                file.flush()
                # Only with a folder given does Python follow the link, and an absolute path needs none.
                os.link(f"/proc/self/fd/{handle}", self._path(key), src_dir_fd=handle)

    def prune(self) -> None:
        """Remove what was used longest ago until the folder is within its size."""
        found = []
        for path in self.folder.glob(f"*{_ENDING}"):
            with suppress(OSError):
                told = path.stat()
                found.append((told.st_mtime_ns, told.st_size, path))
        whole = 0
        for _, size, path in sorted(found, reverse=True):
            whole += size
            if whole > self.most:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key.removeprefix('sha256:')}{_ENDING}"


def packed(refitted: Refitted) -> bytes:
    """Return a result as bytes: the head's length, the head as JSON, the numbers as they lie in memory."""
    body = np.ascontiguousarray(refitted.answers, dtype="<f8")
    digest = hashlib.sha256(body.data).hexdigest()
    head = msgspec.json.encode(_Head(left=refitted.left, shape=body.shape, digest=digest))
    return len(head).to_bytes(_SIZE, "little") + head + body.tobytes()


def unpacked(data: bytes) -> Refitted | None:
    """Return the result that bytes hold; None: they are broken, or of another release."""
    end = _SIZE + int.from_bytes(data[:_SIZE], "little")
    try:
        head = msgspec.json.decode(data[_SIZE:end], type=_Head)
        body = np.frombuffer(data, dtype="<f8", offset=end).reshape(head.shape)
    except (msgspec.DecodeError, ValueError):
        return None
    if hashlib.sha256(body.data).hexdigest() != head.digest:
        return None
    return Refitted(left=head.left, answers=body)
