"""The index of a checkout: a file in its folder that says what was put there, so that nothing else is ever touched."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import xxhash

from treadle.data.tree.scan import INDEX
from treadle.store.files import part_name

_FORMAT = 1
_CHECK = 16
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
#: What stands for the time of change of a file that was about to be put there.
PLANNED = -1


class Put(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file that was put into the folder, or was about to be."""

    path: str
    digest: bytes
    executable: bool
    size: int
    mtime_ns: int
    inode: int

    def is_at(self, state: os.stat_result) -> bool:
        """Whether a file is this one, untouched."""
        return (self.size, self.mtime_ns, self.inode) == (state.st_size, state.st_mtime_ns, state.st_ino)


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkout has put into a folder."""

    format: int = _FORMAT
    tree: str = ""
    version: int = 0
    files: list[Put] = []

    def by_path(self) -> dict[str, list[Put]]:
        """Return what was put at each path: also what an interrupted checkout was about to put there."""
        found: dict[str, list[Put]] = {}
        for file in self.files:
            found.setdefault(file.path, []).append(file)
        return found


def load(folder: Path) -> Index | None:
    """Return a folder's index; None: it has none, and nothing in it is a checkout's."""
    try:
        handle = os.open(folder / INDEX, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        data = file.read()
    if xxhash.xxh3_128_digest(data[_CHECK:]) != data[:_CHECK]:
        return None
    try:
        found = msgspec.msgpack.decode(data[_CHECK:], type=Index)
    except msgspec.DecodeError:
        return None
    return found if found.format == _FORMAT else None


def save(index: Index, *, folder: int) -> None:
    """Save the index of an open folder in one step."""
    body = msgspec.msgpack.encode(index)
    part = part_name()
    with os.fdopen(os.open(part, _NEW, 0o644, dir_fd=folder), "wb") as file:
        file.write(xxhash.xxh3_128_digest(body) + body)
    os.rename(part, INDEX, src_dir_fd=folder, dst_dir_fd=folder)
