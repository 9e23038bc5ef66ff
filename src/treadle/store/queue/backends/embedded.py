"""The queue in a folder: one SQLite file with a write-ahead log, for the processes of one machine.

Leases end by the machine's monotonic clock, which no change of the time of day moves; those of an earlier boot have ended.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from treadle.core.clock import monotonic
from treadle.core.errors import LeaseLost, StoreUnavailable
from treadle.store.failures import full, of_os_error, read_only
from treadle.store.files import flush_folder, make_folder
from treadle.store.ledger import processes
from treadle.store.queue.backend import Message, Parked, State

_FILE = "queue.db"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
_READY, _LEASED, _PARKED = 0, 1, 2
_TABLES = """
CREATE TABLE IF NOT EXISTS messages (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    deliveries INTEGER NOT NULL DEFAULT 0,
    receipt INTEGER NOT NULL DEFAULT 0,
    deadline REAL NOT NULL DEFAULT 0,
    boot TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_state ON messages (state, place);
"""


class Backend:
    """A folder; any number of processes may have it open."""

    def __init__(self, url: str, *, root: Path, lease: float, crashes: int, timeout: float) -> None:
        folder = Path(unquote(urlsplit(url).path)) if "://" in url else root / url
        self._path = (folder / _FILE).absolute()
        self._lease, self._crashes, self._timeout = lease, crashes, timeout
        self._boot = processes.this().boot
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self.shown = str(folder)

    def put(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Keep messages; an id that is there already stays as it is."""
        with self._writing() as connection:
            connection.executemany("INSERT OR IGNORE INTO messages (id, body) VALUES (?, ?)", items)

    def take(self, limit: int, *, wait: float) -> list[Message]:
        """Lease the oldest messages; looks again and again until there is one."""
        end, pause = monotonic() + wait, _FIRST_PAUSE
        while True:
            if self._is_any_due():
                found = self._take(limit)
                if found:
                    return found
            left = end - monotonic()
            if left <= 0:
                return []
            threading.Event().wait(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def extend(self, messages: Sequence[Message]) -> None:
        """Put the deadlines another lease off."""
        with self._writing() as connection:
            for message in messages:
                self._change(connection, message, "deadline = ?", monotonic() + self._lease)

    def acknowledge(self, message: Message) -> None:
        """Remove a message."""
        with self._writing() as connection:
            gone = connection.execute(
                "DELETE FROM messages WHERE id = ? AND state = ? AND receipt = ?",
                (message.id, _LEASED, message.receipt),
            )
            _insist(gone.rowcount, message)

    def release(self, message: Message) -> None:
        """Give a message back; the delivery does not count."""
        with self._writing() as connection:
            self._change(connection, message, "state = ?, deliveries = deliveries - 1", _READY)

    def park(self, message: Message, reason: str) -> None:
        """Put a message aside."""
        with self._writing() as connection:
            self._change(connection, message, "state = ?, reason = ?", _PARKED, reason)

    def state(self) -> State:
        """Count, once what dead takers had is taken back."""
        self._sweep()
        with self._reading() as connection:
            rows = connection.execute("SELECT state, count(*) FROM messages GROUP BY state").fetchall()
        counts = dict(rows)
        return State(counts.get(_READY, 0), counts.get(_LEASED, 0), counts.get(_PARKED, 0))

    def parked(self, limit: int) -> list[Parked]:
        """Return what was put aside."""
        self._sweep()
        query = "SELECT id, body, reason FROM messages WHERE state = ? ORDER BY place LIMIT ?"
        with self._reading() as connection:
            return [Parked(*row) for row in connection.execute(query, (_PARKED, limit))]

    def retry(self, ids: Sequence[str]) -> int:
        """Make parked messages new, at their old place."""
        change = "UPDATE messages SET state = ?, deliveries = 0, reason = '' WHERE id = ? AND state = ?"
        with self._writing() as connection:
            return sum(connection.execute(change, (_READY, name, _PARKED)).rowcount for name in ids)

    def drop(self, ids: Sequence[str]) -> int:
        """Remove parked messages."""
        change = "DELETE FROM messages WHERE id = ? AND state = ?"
        with self._writing() as connection:
            return sum(connection.execute(change, (name, _PARKED)).rowcount for name in ids)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _is_any_due(self) -> bool:
        """Look, without writing, whether a message can be taken or taken back."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM messages WHERE state = ?) OR EXISTS "
            "(SELECT 1 FROM messages WHERE state = ? AND (deadline < ? OR boot != ?))"
        )
        with self._reading() as connection:
            row = connection.execute(query, (_READY, _LEASED, monotonic(), self._boot)).fetchone()
        return bool(row[0])

    def _sweep(self) -> None:
        """Take messages back, where there are any to be taken back."""
        query = "SELECT EXISTS (SELECT 1 FROM messages WHERE state = ? AND (deadline < ? OR boot != ?))"
        with self._reading() as connection:
            late = connection.execute(query, (_LEASED, monotonic(), self._boot)).fetchone()[0]
        if late:
            with self._writing() as connection:
                self._reclaim(connection)

    def _take(self, limit: int) -> list[Message]:
        with self._writing() as connection:
            self._reclaim(connection)
            rows = connection.execute(
                "SELECT place, id, body, deliveries FROM messages WHERE state = ? ORDER BY place LIMIT ?",
                (_READY, limit),
            ).fetchall()
            found = []
            for place, name, body, deliveries in rows:
                receipt = secrets.randbits(62)
                connection.execute(
                    "UPDATE messages SET state = ?, deliveries = ?, receipt = ?, deadline = ?, boot = ? WHERE place = ?",
                    (_LEASED, deliveries + 1, receipt, monotonic() + self._lease, self._boot, place),
                )
                found.append(Message(name, body, deliveries + 1, receipt))
        return found

    def _reclaim(self, connection: sqlite3.Connection) -> None:
        """Take messages back whose takers did not extend; those that too many takers died of are parked."""
        due = "state = ? AND (deadline < ? OR boot != ?)"
        now = (_LEASED, monotonic(), self._boot)
        reason = f"its taker died or was silent for {self._lease:g} s, {self._crashes} times"
        connection.execute(
            f"UPDATE messages SET state = ?, reason = ? WHERE {due} AND deliveries >= ?",  # noqa: S608 - a constant
            (_PARKED, reason, *now, self._crashes),
        )
        connection.execute(f"UPDATE messages SET state = ? WHERE {due}", (_READY, *now))  # noqa: S608

    def _change(
        self, connection: sqlite3.Connection, message: Message, change: str, *values: float | str
    ) -> None:
        done = connection.execute(
            f"UPDATE messages SET {change} WHERE id = ? AND state = ? AND receipt = ?",  # noqa: S608 - a constant
            (*values, message.id, _LEASED, message.receipt),
        )
        _insist(done.rowcount, message)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._speaking():
            yield self._opened()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._speaking():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
            self._inode = self._path.stat().st_ino
        elif not self._path.exists() or self._path.stat().st_ino != self._inode:
            # A deleted file stays writable through an open connection, and what is written is lost.
            self._connection.close()
            self._connection = None
            msg = (
                f"The queue {self.shown} was taken away while it was open. Put its file back, or start again."
            )
            raise StoreUnavailable(msg)
        return self._connection

    def _open(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        connection = sqlite3.connect(
            self._path, timeout=max(self._timeout, 5.0), isolation_level=None, check_same_thread=False
        )
        try:
            _use_wal(connection, monotonic() + max(self._timeout, 5.0))
            connection.execute("PRAGMA synchronous=FULL")
            connection.executescript(_TABLES)
            flush_folder(self._path.parent)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Give the words of the stores to what goes wrong with the file."""
        try:
            yield
        except OSError as error:
            raise of_os_error(error, store="queue", place=self.shown) from error
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: sqlite3.Error) -> StoreUnavailable:
        name = str(getattr(error, "sqlite_errorname", type(error).__name__))
        if name == "SQLITE_FULL":
            return full("queue", self.shown)
        if name.startswith("SQLITE_READONLY"):
            return read_only("queue", self.shown, name)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreUnavailable(
                f"The queue {self.shown} is locked by another process. Try again in a moment."
            )
        if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}:
            return StoreUnavailable(
                f"The queue {self.shown} is damaged ({error}). Put a backup in its place."
            )
        return StoreUnavailable(
            f"The queue {self.shown} cannot be used ({name}). See to its folder and its disk."
        )


def _use_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch the file to a write-ahead log. Two that do so at once may lock each other out, without a wait."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or monotonic() > deadline:
                raise
            threading.Event().wait(_FIRST_PAUSE)


def _insist(changed: int, message: Message) -> None:
    if not changed:
        msg = f"The message {message.id} no longer belongs to this process: its lease ended, and another one may have it."
        raise LeaseLost(msg)
