"""Tables as this process last saw them: a commit that follows another does not read the log from its beginning.

To open a table costs a checkpoint, the log entries since, and a listing of a folder that grows with every version. A state
that is kept counts only while the log entry that it came from is the same one, and, where the newest version is asked
for, nothing follows it: another process may have committed, undone, or put another table in its place.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, field
from weakref import ref

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from treadle.core.errors import NotFound, StoreUnavailable
from treadle.store.tables import schemas
from treadle.store.tables.backend import Backend
from treadle.store.tables.failures import speaking

#: Tables whose states are kept: those of two or three datasets.
_MOST = 16


@dataclass
class _Kept:
    """The state of a table, what tells its last log entry from another of that number, and who reads from it."""

    table: DeltaTable
    stamp: str
    lent: list[ref[DeltaTable]] = field(default_factory=list)

    def lend(self) -> DeltaTable:
        """Return the state to somebody who only reads, for as long as they hold what is returned."""
        reader = copy(self.table)
        self.lent = [each for each in self.lent if each() is not None] + [ref(reader)]
        return reader

    @property
    def is_lent(self) -> bool:
        """Whether somebody may still read from it: a lazy frame asks for the files when it is collected."""
        return any(each() is not None for each in self.lent)


class OpenedTables:
    """Opens tables of a back end, and keeps the newest state of each."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def reader(self, name: str, *, version: int | None = None) -> DeltaTable:
        """Return a table at a version, the newest by default; it stays at that version.

        Raises:
            NotFound: there is no such table, or no such version of it.
            StoreUnavailable: the table cannot be read.
        """
        counts = self._counting(name, version)
        # Lent before it is looked at: nobody commits to it from then on.
        with self._lock:
            kept = self._kept.get(name)
            reader = kept.lend() if kept else None
        if kept and reader and self._is_current(name, kept, counts):
            return reader
        table = self._open(name, counts, asked=version)
        if version is not None and kept and kept.table.version() >= table.version():
            return table
        return self.keep(name, table).lend()

    def writer(self, name: str) -> DeltaTable:
        """Return the newest state of a table to somebody who commits to it, and who gives it to `keep` when that is done.

        Raises:
            NotFound: there is no such table.
            StoreUnavailable: the table cannot be read.
        """
        counts = self._counting(name, None)
        with self._lock:
            kept = self._kept.pop(name, None)
        if kept and not kept.is_lent and self._is_current(name, kept, counts):
            return kept.table
        return self._open(name, counts, asked=None)

    def keep(self, name: str, table: DeltaTable) -> _Kept:
        """Keep a state that nobody commits to any more."""
        kept = _Kept(table, self._backend.stamp(name, table.version()))
        with self._lock:
            if kept.stamp:
                self._kept[name] = kept
                self._kept.move_to_end(name)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return kept

    def forget(self, name: str) -> None:
        """Keep no state of a table."""
        with self._lock:
            self._kept.pop(name, None)

    def _counting(self, name: str, version: int | None) -> int | None:
        """Return the version that is meant; None: the newest, whichever that is."""
        schemas.check_name(name)
        return self._backend.settled(name) if version is None else version

    def _is_current(self, name: str, kept: _Kept, counts: int | None) -> bool:
        """Return whether what is kept is what would be opened."""
        at = kept.table.version()
        if counts is not None and counts != at:
            return False
        is_same = self._backend.stamp(name, at) == kept.stamp
        return is_same and (counts is not None or not self._backend.stamp(name, at + 1))

    def _open(self, name: str, counts: int | None, *, asked: int | None) -> DeltaTable:
        try:
            with speaking(self._backend.shown, table=name):
                if counts is not None and counts < 0:
                    raise TableNotFoundError
                where = self._backend.uri(name)
                return DeltaTable(where, version=counts, storage_options=self._backend.options)
        except StoreUnavailable as error:
            newest = None if asked is None else self.reader(name).version()
            if newest is None or 0 <= (asked or 0) <= newest:
                raise
            msg = (
                f"The table {name!r} in {self._backend.shown} has no version {asked}; its newest is {newest}."
            )
            raise NotFound(msg) from error
