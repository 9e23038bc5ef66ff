"""The folders in which logs wait on this machine: which there are, and whose owners live."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from treadle.core.errors import SettingsError
from treadle.serving import wal

#: Where logs are in a project, one folder for each process that writes one.
LOGS = Path(".treadle/log")
#: The file in each that its owner holds locked.
LOCK = "lock"
#: Fewest bytes that logs may hold on a machine: some segments of some processes.
LEAST = 1024 * 1024


def check(most: int) -> None:
    """Refuse a spool in which nothing could wait: a log that is full from the start would drop, or refuse, everything.

    Raises:
        SettingsError: it is too small.
    """
    if most < LEAST:
        msg = f"serving.max_spool = {most} leaves the log no room. Expected {LEAST:,} bytes or more. To log less, set serving.sample."
        raise SettingsError(msg)


def folders(logs: Path) -> list[Path]:
    """Return the folders of all logs, sorted."""
    try:
        return sorted(path for path in logs.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def complete(folder: Path) -> list[Path]:
    """Return the complete segments of a log, the oldest first."""
    return [path for path in wal.segments(folder) if path.suffix == wal.SEALED]


def size(logs: Path) -> int:
    """Return the bytes of all segments that wait."""
    found = 0
    for folder in folders(logs):
        for path in wal.segments(folder):
            with suppress(FileNotFoundError):
                found += path.stat().st_size
    return found


def something(logs: Path) -> bool:
    """Return whether a look at the tables is worth it: complete segments, or a folder whose owner has died."""
    return any(complete(folder) or _is_left(folder) for folder in folders(logs))


@contextmanager
def owned(folder: Path) -> Iterator[bool]:
    """Hold the lock of a log's folder; False: its owner lives, or another process looks after it."""
    try:
        handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield (folder / LOCK).exists()
    finally:
        os.close(handle)


def remove(folder: Path) -> None:
    """Remove a folder whose lock is held, with all that is in it; one in which a new owner has just begun stays."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == LOCK):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def shipping(logs: Path) -> Iterator[bool]:
    """Be the one who ships the logs of a project on this machine; False: somebody else is at it.

    Two who ship a log at once would each see some of its segments as not delivered yet. The folder itself is locked, for
    on a disk that is full no file could be made for it.
    """
    try:
        handle = os.open(logs, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def _is_left(folder: Path) -> bool:
    with owned(folder) as left:
        return left
