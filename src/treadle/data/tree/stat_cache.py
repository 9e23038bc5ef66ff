"""The stat cache: what the files of a folder were when they were last read, so that only changed ones are read again.

It can be lost at any time and costs a re-reading then. A file that had changed within the last moments before it was
read could change again without its times telling, so such a file is noted with a stamp that never fits (as git does).
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import xxhash

from treadle.data.tree.scan import Stamp
from treadle.store.failures import of_os_error
from treadle.store.files import make_folder, part_name

#: Nanoseconds within which two changes of a file can leave the same time of change: the coarsest file systems' two seconds.
TICK = 2 * 10**9

_FORMAT = 1
_CHECK = 16


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one file was."""

    stamp: Stamp
    digest: bytes
    parts: bytes = b""
    #: Whether the store shares the file: then its own time of change moves with every link to it and tells nothing.
    linked: bool = False

    def fits(self, stamp: Stamp) -> bool:
        """Whether a file with this stamp is still what it was."""
        if self.linked:
            mine = self.stamp
            return (mine[0], mine[1], mine[3], mine[4]) == (stamp[0], stamp[1], stamp[3], stamp[4])
        return self.stamp == stamp


class StatCache(msgspec.Struct, kw_only=True):
    """What all files of a folder were; every content in it was in the store then."""

    format: int = _FORMAT
    #: The folder, and the store's place.
    source: str
    place: str
    #: How often garbage had been collected.
    collection: int
    #: Digest of the manifest of these files; empty: they are not all of a version.
    manifest: bytes = b""
    #: What the archive was that holds them; None: they are in a folder.
    archive: Stamp | None = None
    rows: dict[str, Row] = {}


def load(path: Path, *, source: str, place: str) -> StatCache | None:
    """Return what was saved about a folder, or None where that is nothing, damaged, or about another place."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = data[_CHECK:]
    if xxhash.xxh3_128_digest(body) != data[:_CHECK]:
        return None
    try:
        found = msgspec.msgpack.decode(body, type=StatCache)
    except msgspec.DecodeError:
        return None
    return found if (found.format, found.source, found.place) == (_FORMAT, source, place) else None


def save(path: Path, cache: StatCache) -> None:
    """Save a cache in one step.

    Raises:
        StoreUnavailable: it cannot be written.
    """
    body = msgspec.msgpack.encode(cache)
    part = path.with_name(part_name())
    try:
        make_folder(path.parent)
        part.write_bytes(xxhash.xxh3_128_digest(body) + body)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise of_os_error(error, store="objects", place=str(path.parent)) from error


def settled(stamp: Stamp, *, before: int) -> Stamp:
    """Return a stamp to note: one that never fits where the file had changed since `before` (nanoseconds since 1970)."""
    return stamp if stamp[1] < before else (stamp[0], -1, *stamp[2:])
