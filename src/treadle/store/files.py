"""Writing a local file so that it is there as a whole or not at all, also after a power cut."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_MARK = ".part-"
_PART = re.compile(r"\.part-[0-9a-f]{16}")
#: Linux's request to let two files share their blocks until one of them is written to.
_FICLONE = 0x40049409
_CANNOT_CLONE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ETXTBSY}
_NO_NAMELESS_FILES = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends without an error.

    It is written in the same folder, flushed to the disk, given its name, and the name is flushed too. Where the file
    system allows it the file has no name while it is written, so a writer that is killed leaves nothing behind; only
    a new content for an old name must pass through a name of its own (`is_part`) for a moment.
    """
    make_folder(path.parent)
    part = path.with_name(part_name())
    handle, is_nameless = _open_new(part)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not is_nameless:
                part.replace(path)
            elif not _named(handle, path):
                _named(handle, part)
                part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def make_folder(path: Path, *, mode: int = 0o777) -> None:
    """Make a folder and those above it, durably; `mode` is that of the folder itself."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True, mode=mode)
    try:
        for folder in missing:
            flush_folder(folder.parent)
    except OSError:
        for folder in missing:  # one that is there would be taken for certain the next time
            with suppress(OSError):
                folder.rmdir()
        raise


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


def flush_disk(path: Path) -> None:
    """Wait until everything that was written to a path's file system is on the disk: cheaper than file by file.

    Where the system has no `syncfs` all file systems are waited for.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        if syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)


def clone(source: int, target: int) -> bool:
    """Let an open, empty file share the blocks of another one; False: the file systems cannot.

    Raises:
        OSError: they could, and failed.
    """
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CANNOT_CLONE:
            return False
        raise
    return True


def part_name() -> str:
    """Return a name for a file that is being written, which `is_part` knows."""
    return f"{_MARK}{secrets.token_hex(8)}"


def is_part(path: Path) -> bool:
    """Return whether a file is one that is being written, or was when its writer died."""
    return _PART.fullmatch(path.name) is not None


def _named(handle: int, path: Path) -> bool:
    """Give a nameless file its name; False: something else has it."""
    try:
        # The link in /proc is followed only by linkat(2), which a folder's handle asks for.
        os.link(f"/proc/self/fd/{handle}", path, src_dir_fd=handle, follow_symlinks=True)
    except FileExistsError:
        return False
    return True


def _open_new(part: Path) -> tuple[int, bool]:
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(part.parent, os.O_TMPFILE | os.O_WRONLY, 0o600), True
        except OSError as error:
            if error.errno not in _NO_NAMELESS_FILES:
                raise
    return os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), False
