"""Moves complete segments of the log into tables, each exactly once, also those that dead servers left behind."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from treadle.serving import wal
from treadle.serving.entries import Entry, unpack
from treadle.serving.frames import tables_of
from treadle.serving.log import LOCK, LOGS
from treadle.store.tables.tables import Tables

_log = logging.getLogger("treadle.serving")

_TIDY_EVERY = 64
#: Bytes of segments that are shipped at once.
_AT_ONCE = 4 * 1024 * 1024


class Shipper:
    """Ships the segments of a project's logs on this machine.

    The number of the last segment that a server has shipped into a table is part of that table's commit, so a
    segment that was shipped by a process that died before it could remove it is not shipped again.
    """

    def __init__(self, root: Path, tables: Tables) -> None:
        self._logs, self._tables = root / LOGS, tables

    def ship(self, server: str) -> int:
        """Ship the complete segments of a server that lives (this one); return the number of rows.

        Raises:
            StoreUnavailable: the tables do not take them; they stay, and the next call ships them.
        """
        folder = self._logs / server
        return self._ship(server, [path for path in wal.segments(folder) if path.suffix == wal.SEALED])

    def ship_leftovers(self) -> int:
        """Ship what servers that have died left, remove their folders, and return the number of rows.

        Raises:
            StoreUnavailable: the tables do not take them; they stay.
        """
        rows = 0
        for folder in _folders(self._logs):
            with _owned(folder) as dead:
                if dead:
                    rows += self._ship(folder.name, wal.segments(folder))
                    shutil.rmtree(folder)
        return rows

    def _ship(self, server: str, paths: list[Path]) -> int:
        return sum(self._ship_at_once(server, group) for group in _groups(paths))

    def _ship_at_once(self, server: str, paths: list[Path]) -> int:
        last = wal.number_of(paths[-1])
        read = {wal.number_of(path): tables_of(_entries(path)) for path in paths}
        rows = 0
        for name in sorted({name for frames in read.values() for name in frames}):
            known = self._tables.delivered(name, sender=server)
            fresh = [f[name] for number, f in read.items() if number > known and name in f]
            frame = pl.concat(fresh) if fresh else None
            self._widen(name, frame)
            if frame is not None and self._tables.deliver(name, frame, sender=server, number=last):
                rows += frame.height
                self._tidy(name)
        for path in paths:
            path.unlink(missing_ok=True)
        return rows

    def _widen(self, name: str, frame: pl.DataFrame | None) -> None:
        """Add the columns that a table from an earlier release lacks."""
        if frame is not None and self._tables.exists(name):
            there = self._tables.schema(name)
            missing = {column: kind for column, kind in frame.schema.items() if column not in there}
            if missing:
                self._tables.extend(name, missing)

    def _tidy(self, name: str) -> None:
        version = self._tables.version(name) or 0
        if version % _TIDY_EVERY == _TIDY_EVERY - 1:
            self._tables.tidy(name)


class ShippingThread:
    """Ships in the background, at start and then every `interval` seconds; a store that is gone is tried again."""

    def __init__(
        self, root: Path, tables: Callable[[], Tables], *, server: str, interval: float = 2.0
    ) -> None:
        """Prepare it; `tables` is called in the thread, when there is something to look at."""
        self._root, self._open, self._server, self._interval = root, tables, server, interval
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        #: What keeps segments from being shipped; None: they are.
        self.problem: Exception | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="treadle-shipping", daemon=True)
        self._thread.start()

    def stop(self, *, timeout: float = 10.0) -> None:
        """Stop after a last round, so that a server that ends leaves nothing behind where the store answers."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        shipper: Shipper | None = None
        ended, pause = False, 0.0
        while not ended:
            ended, pause = self._stop.wait(pause), self._interval
            if not _something(self._root / LOGS, self._server):
                continue
            try:
                shipper = shipper or Shipper(self._root, self._open())
                shipper.ship(self._server)
                shipper.ship_leftovers()
                self.problem = None
            except Exception as error:  # noqa: BLE001 - one segment or folder, perhaps of somebody else, ends no shipping
                if self.problem is None:
                    _log.warning("prediction log waits on this machine, as it cannot be shipped: %s", error)
                self.problem = error


def unshipped(root: Path, table: str) -> pl.DataFrame | None:
    """Return the rows of a table that still are in segments on this machine; None: there are none.

    Read these before the table: what is shipped between the two then is in both, and not in neither.
    """
    entries = (e for folder in _folders(root / LOGS) for path in wal.segments(folder) for e in _entries(path))
    kind, _, endpoint = table.partition("/")
    return tables_of(e for e in entries if e.endpoint == endpoint).get(f"{kind}/{endpoint}")


def _entries(path: Path) -> Iterator[Entry]:
    """Return a segment's entries; one that was completed since it was listed has another name now."""
    now = path if path.exists() else path.with_suffix(wal.SEALED)
    return (unpack(payload) for payload in wal.entries(now) if len(payload) > 1)


def _groups(paths: list[Path]) -> Iterator[list[Path]]:
    """Return segments in groups of a few megabytes: as rows of tables they take ten times that in memory."""
    group: list[Path] = []
    size = 0
    for path in paths:
        try:
            more = path.stat().st_size
        except FileNotFoundError:  # completed meanwhile, or gone
            more = 0
        if group and size + more > _AT_ONCE:
            yield group
            group, size = [], 0
        group.append(path)
        size += more
    if group:
        yield group


def _folders(logs: Path) -> list[Path]:
    try:
        return sorted(path for path in logs.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []


def _something(logs: Path, server: str) -> bool:
    """Return whether a look at the tables is worth it: complete segments of ours, or another's folder."""
    own = any(path.suffix == wal.SEALED for path in wal.segments(logs / server))
    return own or any(folder.name != server for folder in _folders(logs))


@contextmanager
def _owned(folder: Path) -> Iterator[bool]:
    """Hold the lock of a server's folder; False: the server lives, or another process looks after it."""
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
