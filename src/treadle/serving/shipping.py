"""Moves complete segments of the log into tables, each exactly once, also those that dead servers left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from treadle.serving import spool, wal
from treadle.serving.entries import Entry, unpack_all
from treadle.serving.frames import COMMIT, tables_of
from treadle.store.tables.tables import Tables

_TIDY_EVERY = 64
#: Bytes of segments that are shipped at once.
_AT_ONCE = 4 * 1024 * 1024


class Shipper:
    """Ships the segments of a project's logs on this machine.

    The number of the last segment that a server has shipped into a table is part of that table's commit, so a
    segment that was shipped by a process that died before it could remove it is not shipped again.
    """

    def __init__(self, root: Path, tables: Tables) -> None:
        self._logs, self._tables = root / spool.LOGS, tables

    def ship_all(self) -> int:
        """Ship all there is: complete segments of those that live, everything of those that have died; return the number of rows.

        Where somebody else ships at this moment nothing is done. A log that cannot be shipped does not keep others.

        Raises:
            StoreUnavailable: the tables do not take some of it; it stays, and the next call ships it.
        """
        with spool.shipping(self._logs) as free:
            return self._each(spool.folders(self._logs) if free else [], self._ship_log)

    def ship(self, server: str) -> int:
        """Ship the complete segments of a server that lives; return the number of rows.

        Raises:
            StoreUnavailable: the tables do not take them; they stay, and the next call ships them.
        """
        with spool.shipping(self._logs) as free:
            return self._ship(server, spool.complete(self._logs / server)) if free else 0

    def ship_leftovers(self) -> int:
        """Ship what servers that have died left, remove their folders, and return the number of rows.

        Raises:
            StoreUnavailable: the tables do not take them; they stay.
        """
        with spool.shipping(self._logs) as free:
            return self._each(spool.folders(self._logs) if free else [], self._ship_left)

    def _each(self, folders: list[Path], ship: Callable[[Path], int | None]) -> int:
        rows, failures = 0, []
        for folder in folders:
            try:
                rows += ship(folder) or 0
            except Exception as error:  # noqa: BLE001 - raised again, when the others have been shipped
                failures.append(error)
        if failures:
            raise failures[0]
        return rows

    def _ship_log(self, folder: Path) -> int:
        rows = self._ship_left(folder)
        return self._ship(folder.name, spool.complete(folder)) if rows is None else rows

    def _ship_left(self, folder: Path) -> int | None:
        """Ship what a folder holds whose owner has died, and remove it; None: the owner lives."""
        with spool.owned(folder) as left:
            if not left:
                return None
            rows = self._ship(folder.name, wal.segments(folder))
            spool.remove(folder)
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
            if frame is not None and self._tables.deliver(
                name, frame, sender=server, number=last, stamp=COMMIT
            ):
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


def unshipped(root: Path, table: str) -> pl.DataFrame | None:
    """Return the rows of a table that still are in segments on this machine; None: there are none.

    Read these before the table: what is shipped between the two then is in both, and not in neither.
    """
    entries = (
        e
        for folder in spool.folders(root / spool.LOGS)
        for path in wal.segments(folder)
        for e in _entries(path)
    )
    kind, _, endpoint = table.partition("/")
    return tables_of(e for e in entries if e.endpoint == endpoint).get(f"{kind}/{endpoint}")


def _entries(path: Path) -> Iterator[Entry]:
    """Return a segment's entries; one that is completed at any moment since it was listed has another name then."""
    for name in (path, path.with_suffix(wal.SEALED)):
        written = False
        for payload in wal.entries(name):
            written = True
            if len(payload) > 1:
                yield from unpack_all(payload)
        if written:
            return


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
