"""Writing a local file so that it is there as a whole or not at all, also after a power cut."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_MARK = ".part-"
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends without an error.

    It is written in the same folder, flushed to the disk, renamed, and the rename is flushed too. Where the file
    system allows it the file has no name while it is written, so a writer that is killed leaves nothing behind.
    """
    make_folder(path.parent)
    part = path.with_name(f"{_MARK}{secrets.token_hex(8)}")
    handle, is_nameless = _open_new(part)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if is_nameless:
                # The link in /proc is followed only by linkat(2), which a folder's handle asks for.
                os.link(f"/proc/self/fd/{handle}", part, src_dir_fd=handle, follow_symlinks=True)
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, durably."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush_folder(folder.parent)


def flush_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    flush_file(path)


def is_part(path: Path) -> bool:
    """Return whether a file is one that is being written, or was when its writer died."""
    return path.name.startswith(_MARK)


def _open_new(part: Path) -> tuple[int, bool]:
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(part.parent, os.O_TMPFILE | os.O_WRONLY, 0o600), True
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                raise
    return os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), False
