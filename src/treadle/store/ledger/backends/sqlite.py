"""The ledger in one SQLite file: nothing to install, one machine.

Write-ahead log with `synchronous=FULL`: a committed transaction survives a power cut.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from treadle.core.clock import monotonic, wall_nanoseconds
from treadle.core.errors import SettingsError, StoreFull, StoreReadOnly, StoreUnavailable
from treadle.store.failures import of_os_error
from treadle.store.ledger.backend import WRITES

_PAUSE = 0.02
_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
_BROKEN = ("SQLITE_CORRUPT", "SQLITE_NOTADB")

#: Nanoseconds after a write in which another one may leave the same time on the file.
_JUST_NOW = 2_000_000_000


class Backend:
    """A SQLite file."""

    now = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

    def __init__(self, url: URL, *, root: Path, schema: str, timeout: float) -> None:  # noqa: ARG002
        if not url.database or url.database == ":memory:":
            msg = f"ledger.url = {str(url)!r} names no file. Expected sqlite:///path/ledger.db"
            raise SettingsError(msg)
        self._path = (root / url.database).absolute()
        self._written = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        self._was_open = False
        self._timeout = timeout
        self.shown = f"sqlite:///{self._path}"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise of_os_error(error, store="ledger", place=self.shown) from error
        self.engine = create_engine(
            "sqlite://", creator=self._open, poolclass=QueuePool, pool_size=4, max_overflow=60
        )
        event.listen(self.engine, "connect", self._remember)
        event.listen(self.engine, "begin", _begin)

    def is_stale(self, connection: Connection) -> bool:
        """Return whether the file at the path is another one than the one that is open.

        A deleted file stays writable through an open connection, and what is written is lost: so look.

        Raises:
            StoreUnavailable: the file is gone.
        """
        try:
            return bool(connection.info["inode"] != self._path.stat().st_ino)
        except FileNotFoundError as error:
            msg = (
                f"The ledger {self.shown} is gone. Put the file back from a backup, or remove the rest of the "
                "project's state to start anew."
            )
            raise StoreUnavailable(msg) from error

    def begin_write(self, connection: Connection) -> None:
        """Do nothing more: `BEGIN IMMEDIATE` has made this the only writer."""

    def begin_upgrade(self, connection: Connection) -> None:
        """Do nothing more: `BEGIN IMMEDIATE` keeps others out while the tables change."""

    def explain(self, error: DBAPIError) -> StoreUnavailable | None:
        """Return what a driver's error means for the file; None: the statement itself is at fault."""
        name = str(getattr(error.orig, "sqlite_errorname", ""))
        if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and self._is_full()):
            return StoreFull(
                f"The ledger {self.shown} cannot grow: no space is left. Free some space and repeat the command."
            )
        if name.startswith("SQLITE_READONLY") or (
            name.startswith("SQLITE_CANTOPEN") and self._is_read_only()
        ):
            return StoreReadOnly(
                f"The ledger {self.shown} may not be written to ({name}). Make the file and its folder writable."
            )
        if name.startswith(_LOCKED):
            return StoreUnavailable(
                f"The ledger {self.shown} was locked by another process for {self._timeout:g} s. "
                "Repeat the command, or raise ledger.timeout."
            )
        if name.startswith(_BROKEN):
            return StoreUnavailable(
                f"The ledger {self.shown} is damaged ({error.orig}). Put a backup in its place."
            )
        if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
            return StoreUnavailable(
                f"The ledger {self.shown} cannot be read or written ({name}). See to its folder and its disk."
            )
        return None

    def may_pass(self, error: DBAPIError) -> bool:  # noqa: ARG002
        """Return False: the driver has waited for a lock already, and nothing else passes."""
        return False

    def pulse(self, connection: Connection) -> str:  # noqa: ARG002
        """Return when the file and its log were last written, and how long they are."""
        return ", ".join(f"{written} {size}" for written, size, _ in self._files())

    def still(self) -> str:
        """Return the same and which files these are; nothing right after a write: of two within a tick of the kernel's clock one would not show."""
        found = self._files()
        newest = max((written for written, _, _ in found), default=0)
        # Also where the clock has gone back behind what was written.
        if not found or wall_nanoseconds() - newest < _JUST_NOW:
            return ""
        return str(found)

    def _files(self) -> list[tuple[int, int, int]]:
        """Return when the file and its log were last written, how long they are, and which they are."""
        found = []
        for path in self._written:
            try:
                said = path.stat()
            except FileNotFoundError:  # no log: all of it is in the file
                continue
            found.append((said.st_mtime_ns, said.st_size, said.st_ino))
        return found

    def integrity(self, connection: Connection) -> str:
        """Return `ok`, or what SQLite finds wrong with the file."""
        return "\n".join(row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check"))

    def _is_full(self) -> bool:
        return os.statvfs(self._path.parent).f_bavail == 0

    def _is_read_only(self) -> bool:
        return bool(os.statvfs(self._path.parent).f_flag & os.ST_RDONLY) or not os.access(
            self._path.parent, os.W_OK
        )

    def _open(self) -> sqlite3.Connection:
        # Once it has been open, a file that is gone is an error: a new, empty one would hide the loss.
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={'rw' if self._was_open else 'rwc'}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _use_wal(connection, monotonic() + self._timeout)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            # What is replaced or removed leaves no byte behind.
            connection.execute("PRAGMA secure_delete=ON")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _remember(self, _: Any, record: Any) -> None:
        record.info["inode"] = self._path.stat().st_ino
        self._was_open = True


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch the file to a write-ahead log. Two that do so at once may lock each other out, without a wait."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > deadline:
                raise
            threading.Event().wait(_PAUSE)


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
