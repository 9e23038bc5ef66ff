"""Online values in a folder, in an LMDB file: read without a lock by many processes, written by one at a time.

The file is `values-<number>.mdb`. `tidy` writes what is there into a file of the next number, and notes in the old one that
it has moved: from this commit on the new one counts. Others find the note when they next write, or when a key that they
read is missing; whoever opens the new file removes the old ones.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from weakref import WeakValueDictionary

from treadle.core.errors import Conflict, StoreUnavailable
from treadle.core.optional import require
from treadle.store.failures import full, of_os_error, read_only
from treadle.store.files import flush_folder, make_folder
from treadle.store.online.backend import ORDER, State

if TYPE_CHECKING:
    import lmdb

    Transaction = lmdb.Transaction[bytes]

_MAP_BYTES = 1 << 38  # address space, not disk: the file grows as it is filled
_READERS = 1024
_PUT_AT_ONCE, _SCAN_AT_ONCE, _COPY_AT_ONCE = 20_000, 10_000, 200_000
_MOVED, _SOILED = b"moved", b"soiled"
_COUNT_BYTES = 8
#: The file that is being made, by whoever holds the folder's lock.
_FRESH = "fresh.mdb"


class _File:
    """One open LMDB file."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self.environment = environment
        self.values = environment.open_db(b"values")
        #: Namespace → number of its keys and its head.
        self.states = environment.open_db(b"states")
        self.marks = environment.open_db(b"marks")

    def mark(self, name: bytes) -> bytes | None:
        """Return a mark, or None."""
        with self.environment.begin(db=self.marks) as transaction:
            return transaction.get(name)


#: LMDB forbids a process to open a file twice, and two workspaces may be open on one project.
_OPEN: WeakValueDictionary[tuple[int, int], _File] = WeakValueDictionary()
_OPENING = threading.Lock()


class Backend:
    """A folder. LMDB forbids to use an open file in a forked child: open the store there, not before."""

    is_local = True

    def __init__(self, url: str, *, root: Path, timeout: float) -> None:  # noqa: ARG002 - a read never waits here
        self._folder = root / (unquote(urlsplit(url).path) if "://" in url else url)
        self._lmdb: Any = require("lmdb", extra="online")
        self._current: _File | None = None
        self.shown = str(self._folder)

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, or None, in one read transaction."""
        while True:
            file = self._current or self._open()
            try:
                transaction = file.environment.begin(db=file.values)
                try:
                    found = list(map(transaction.get, keys))
                    if None not in found or transaction.get(_MOVED, db=file.marks) is None:
                        return found
                finally:
                    transaction.abort()
            except self._lmdb.Error as error:
                raise self._explained(error) from error
            self._leave(file)

    def put(self, namespace: bytes, items: Sequence[tuple[bytes, bytes]], *, head: bytes) -> int:
        """Store each value that is not older than the stored one; a piece of the items in each transaction."""
        written = 0
        for start in range(0, len(items), _PUT_AT_ONCE):
            with self._transaction(write=True) as (file, transaction):
                state = self._expected(file, transaction, namespace, head)
                fresh = 0
                # In the order of the keys, pages are visited once.
                for key, value in sorted(items[start : start + _PUT_AT_ONCE]):
                    old = transaction.get(key, db=file.values)
                    if old is None or old[:ORDER] <= value[:ORDER]:
                        transaction.put(key, value, db=file.values)
                        fresh += old is None
                        written += 1
                _keep(file, transaction, namespace, State(head, state.keys + fresh))
        return written

    def delete(self, namespace: bytes, keys: Sequence[bytes], *, head: bytes) -> int:
        """Remove keys and return how many there were."""
        with self._transaction(write=True) as (file, transaction):
            state = self._expected(file, transaction, namespace, head)
            removed = sum(transaction.delete(key, db=file.values) for key in keys)
            if removed:
                transaction.put(_SOILED, b"1", db=file.marks)
                _keep(file, transaction, namespace, State(head, state.keys - removed))
        return removed

    def scan(self, namespace: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield keys and orders; each list is read in a transaction of its own."""
        after = namespace
        while found := self._some(namespace, after):
            yield found
            after = found[-1][0] + b"\x00"

    def state(self, namespace: bytes) -> State | None:
        """Return the head of a namespace and its number of keys."""
        with self._transaction() as (file, transaction):
            return _state(file, transaction, namespace)

    def note(self, namespace: bytes, head: bytes | None, *, was: bytes | None = None) -> None:
        """Set or forget the head of a namespace."""
        with self._transaction(write=True) as (file, transaction):
            if was is not None:
                self._expected(file, transaction, namespace, was)
            if head is None:
                transaction.delete(namespace, db=file.states)
                return
            old = _state(file, transaction, namespace)
            _keep(file, transaction, namespace, State(head, old.keys if old else 0))

    def namespaces(self) -> list[bytes]:
        """Return the namespaces that have a head, sorted."""
        with self._transaction() as (file, transaction):
            return list(transaction.cursor(db=file.states).iternext(keys=True, values=False))

    def tidy(self) -> None:
        """Write everything into a new file, if anything was deleted since the last time."""
        file = self._current or self._open()
        # Locks in the order in which `_open` takes them: the folder's, then the writer's.
        with (
            self._failures(),
            self._locked(),
            file.environment.begin(write=True, db=file.marks) as transaction,
        ):
            if transaction.get(_SOILED) is None or transaction.get(_MOVED) is not None:
                return
            number = max(self._numbers()) + 1
            self._make(self._path(number), lambda fresh: _copy(file, transaction, to=fresh))
            for database in (file.values, file.states):
                transaction.drop(database, delete=False)
            transaction.put(_MOVED, str(number).encode())
        self._leave(file)
        self._open()

    def close(self) -> None:
        """Let go of the file; it is closed when nobody in this process uses it."""
        self._current = None

    def _open(self) -> _File:
        """Open the file that counts, and remove those that were moved."""
        with self._failures(), self._locked():
            file = self._opened(min(self._numbers(), default=1))
            while (moved := file.mark(_MOVED)) is not None:
                file = self._opened(int(moved))
                for number in self._numbers():
                    if number < int(moved):
                        _remove(self._path(number))
            self._current = file
            return file

    def _opened(self, number: int) -> _File:
        path = self._path(number)
        if not path.exists():
            self._make(path, lambda _: None)
        known = _OPEN.get(_identity(path))
        if known is not None:
            return known
        environment = self._environment(path)
        environment.reader_check()  # a killed reader would keep old pages from being used again
        file = _File(environment)
        _OPEN[_identity(path)] = file
        return file

    def _make(self, path: Path, fill: Callable[[_File], None]) -> None:
        """Make a file that is there as a whole or not at all, also after a power cut: LMDB cannot open half of one."""
        fresh = self._folder / _FRESH
        _remove(fresh)  # left by a process that was killed while it made one
        with self._environment(fresh) as environment:
            fill(_File(environment))
            environment.sync(True)
        fresh.rename(path)
        _remove(fresh)
        flush_folder(self._folder)

    def _environment(self, path: Path) -> Any:
        options = {"map_size": _MAP_BYTES, "max_dbs": 3, "max_readers": _READERS, "mode": 0o600}
        return self._lmdb.open(str(path), subdir=False, **options)

    def _leave(self, file: _File) -> None:
        if self._current is file:
            self._current = None

    def _some(self, namespace: bytes, after: bytes) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        with self._transaction() as (file, transaction):
            cursor = transaction.cursor(db=file.values)
            there = cursor.set_range(after)
            while there and len(found) < _SCAN_AT_ONCE and cursor.key().startswith(namespace):
                found.append((cursor.key(), cursor.value()[:ORDER]))
                there = cursor.next()
        return found

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[tuple[_File, Transaction]]:
        """Begin a transaction on the file that counts."""
        while True:
            file = self._current or self._open()
            with self._failures(), file.environment.begin(write=write) as transaction:
                if transaction.get(_MOVED, db=file.marks) is None:
                    yield file, transaction
                    return
            self._leave(file)

    def _expected(self, file: _File, transaction: Transaction, namespace: bytes, head: bytes) -> State:
        state = _state(file, transaction, namespace)
        if state is None or state.head != head:
            msg = (
                f"Somebody else writes into {namespace.decode()!r} of the online store {self.shown}, "
                "or it was emptied meanwhile. Repeat the command."
            )
            raise Conflict(msg)
        return state

    def _path(self, number: int) -> Path:
        return self._folder / f"values-{number}.mdb"

    def _numbers(self) -> list[int]:
        return [int(path.stem.partition("-")[2]) for path in self._folder.glob("values-*.mdb")]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others from opening files, and from moving them."""
        make_folder(self._folder)
        with _OPENING:
            handle = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, self._lmdb.Error) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> StoreUnavailable:
        if isinstance(error, OSError):
            return of_os_error(error, store="online", place=self.shown)
        if isinstance(error, (self._lmdb.MapFullError, self._lmdb.DiskError)):
            return full("online", self.shown)
        if isinstance(error, self._lmdb.ReadonlyError):
            return read_only("online", self.shown, str(error))
        return of_os_error(OSError(str(error)), store="online", place=self.shown)


def _copy(file: _File, transaction: Transaction, *, to: _File) -> None:
    """Write the values and the states that a transaction sees into another file."""
    for source, target in ((file.values, to.values), (file.states, to.states)):
        cursor = transaction.cursor(db=source)
        there = cursor.first()
        while there:
            with to.environment.begin(write=True, db=target) as writing:
                for _ in range(_COPY_AT_ONCE):
                    writing.put(*cursor.item(), append=True)
                    there = cursor.next()
                    if not there:
                        break


def _state(file: _File, transaction: Transaction, namespace: bytes) -> State | None:
    raw = transaction.get(namespace, db=file.states)
    return None if raw is None else State(raw[_COUNT_BYTES:], int.from_bytes(raw[:_COUNT_BYTES]))


def _keep(file: _File, transaction: Transaction, namespace: bytes, state: State) -> None:
    transaction.put(namespace, state.keys.to_bytes(_COUNT_BYTES) + state.head, db=file.states)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _remove(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-lock")):
        each.unlink(missing_ok=True)
