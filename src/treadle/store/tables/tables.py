"""Versioned tables: each commit is a numbered, immutable state that can be read for ever.

The tables are Delta tables (delta-rs), so a warehouse can read them too. Which version counts is not decided here
but in the caller's ledger: a commit whose number never reached the ledger is an orphan, and the next writer undoes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from treadle.core import plugins
from treadle.core.clock import SystemClock
from treadle.core.errors import InvalidInput, NotFound, StoreUnavailable
from treadle.store.places import place_of
from treadle.store.tables import commits, expiry, schemas
from treadle.store.tables.backend import Backend
from treadle.store.tables.commits import CHECKPOINT_EVERY as CHECKPOINT_EVERY
from treadle.store.tables.deliveries import Delivery
from treadle.store.tables.expiry import Expired
from treadle.store.tables.extent import Extent, extent_of
from treadle.store.tables.failures import speaking
from treadle.store.tables.opened import OpenedTables


class Tables:
    """Tables that only grow, with every version readable.

    >>> version = tables.append("flights/rows", frame, base=None)           # doctest: +SKIP
    >>> tables.scan("flights/rows", version=version).collect()              # doctest: +SKIP
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._opened = OpenedTables(backend)

    @classmethod
    def open(cls, url: str, *, root: Path, options: Mapping[str, str]) -> Tables:
        """Use the tables in a folder (relative to `root`) or under `s3://bucket/prefix`.

        `options` are the `AWS_*` settings (`core.settings.aws_options`). A bucket is asked whether it refuses to
        overwrite: without that, two writers would lose each other's commits.

        Raises:
            NotFound: no back end knows this kind of URL.
            StoreUnavailable: the bucket does not answer, or does not refuse to overwrite.
        """
        place = place_of(url, root=root)
        backend = plugins.load("tables", place.kind).Backend(place, options=options)
        backend.probe()
        return cls(backend)

    @property
    def shown(self) -> str:
        """The place of the tables, for messages."""
        return self._backend.shown

    def exists(self, name: str) -> bool:
        """Return whether there is a table of this name."""
        return self.version(name) is not None

    def version(self, name: str) -> int | None:
        """Return the newest version of a table, which may be an orphan; None: there is no such table."""
        found = self._known(name)
        return None if found is None else found.version()

    def append(
        self, name: str, frame: pl.DataFrame, *, base: int | None, note: Mapping[str, str] | None = None
    ) -> int:
        """Add rows and return the version that holds them.

        The columns must be exactly the table's (a new table takes the frame's). `base` is the version that the
        caller's ledger knows, None for none yet: if the table is ahead of it, a writer died before it reached the
        ledger, and what it committed is undone first. Calls for one table must be made under one lease.

        Raises:
            InvalidInput: the columns differ from the table's, or a type cannot be kept.
            Conflict: another writer committed meanwhile; nothing was appended.
            NotFound: the table has no version `base`.
            StoreUnavailable: the rows could not be stored.
        """
        rows = schemas.stored(frame)
        commit = commits.properties(note)
        table = self._at(name, base=base)
        with speaking(self._backend.shown, table=name):
            if table is None or base is None:
                table = commits.create(self._backend, name, rows, commit=commit, over=table)
            else:
                commits.add(table, rows, commit=commit, name=name)
        return self._settle(name, table, after=-1 if base is None else base)

    def deliver(
        self, name: str, frame: pl.DataFrame, *, sender: str, number: int, stamp: str | None = None
    ) -> bool:
        """Add rows to a table that many writers share and no ledger counts, exactly once.

        A sender numbers its deliveries upward; False: this number or a later one is there already, and nothing was added. The number
        is part of the commit, so a sender that died need not know how far it came. `stamp` names a column that gets the
        version of the commit: rows keep it when files are joined, so that a reader finds what is new.

        Raises:
            InvalidInput: the columns differ from the table's, or a type cannot be kept.
            Conflict: somebody delivers for the same sender at this moment.
            StoreUnavailable: the rows could not be stored.
        """
        one = Delivery(sender=sender, number=number, stamp=stamp)
        with self._backend.sharing(name):
            return one.tried(partial(self._deliver, name, schemas.stored(frame), one))

    def _deliver(self, name: str, rows: pl.DataFrame, one: Delivery) -> bool:
        table = self._find(name)
        before = -1 if table is None else table.version()
        with speaking(self._backend.shown, table=name):
            made = one.add(rows, to=table, backend=self._backend, name=name)
        if made is not None:
            self._settle_shared(name, made, after=before)
        return made is not None

    def extent(self, name: str, *, stamp: str, time: str) -> Extent:
        """Return how far a shared table goes; see `Extent`."""
        return extent_of(self._known(name), stamp=stamp, time=time)

    def delivered(self, name: str, *, sender: str) -> int:
        """Return the last number that a sender has delivered; 0: none."""
        return (table.transaction_version(sender) or 0) if (table := self._known(name)) else 0

    def tidy(self, name: str) -> None:
        """Join the small files of a table that many writers share, and remove files that were joined an hour ago.

        Versions older than that can no longer be read, and their log entries go too.

        Raises:
            Conflict: another writer tidied meanwhile.
        """
        with self._backend.sharing(name):
            table = self._opened.writer(name)
            before = table.version()
            with speaking(self._backend.shown, table=name):
                commits.let_senders_end(table)
                table.optimize.compact(
                    post_commithook_properties=commits.AFTER,
                    writer_properties=commits.encoding_of(table, self._backend.scan_options),
                )
                table.vacuum(
                    retention_hours=1,
                    dry_run=False,
                    enforce_retention_duration=False,
                    post_commithook_properties=commits.AFTER,
                )
            self._settle_shared(name, table, after=before)
            self._trim_shared(name)

    def expired(self, name: str, *, column: str, before: datetime) -> Expired:
        """Return what `expire` would remove; nothing where there is no such table."""
        table = self._known(name)
        with self.reading(name):
            return expiry.older(table, self._backend.scan_options, column=column, before=before)

    def expire(self, name: str, *, column: str, before: datetime) -> Expired:
        """Remove the rows of a shared table whose moment is before another, and files that nothing has needed for an hour.

        Null is no moment. Senders go on where they are: what they delivered does not come again. Versions that are older than an
        hour can no longer be read, as their log entries go too.

        Raises:
            Conflict: another writer joined the same files meanwhile; nothing was removed.
            NotFound: there is no such table.
        """
        with self._backend.sharing(name):
            table = self._opened.writer(name)
            at = table.version()
            with speaking(self._backend.shown, table=name):
                found = expiry.remove(table, self._backend.scan_options, column=column, before=before)
            if table.version() > at:
                self._settle_shared(name, table, after=at)
            with speaking(self._backend.shown, table=name):
                unread = expiry.unread(table).intersection(self._backend.files(name))
            self._backend.remove(name, sorted(unread))
            self._trim_shared(name)
        return found

    def scan(self, name: str, *, version: int | None = None) -> pl.LazyFrame:
        """Return a table's rows at a version (the newest by default), to be read when they are needed.

        The order of rows is not kept: sort by a column where it matters.

        Raises:
            NotFound: there is no such table, or no such version of it.
            StoreUnavailable: the table cannot be read.
        """
        table = self._opened.reader(name, version=version)
        with speaking(self._backend.shown, table=name):
            return pl.scan_delta(table, storage_options=self._backend.scan_options or None)

    def reading(self, name: str) -> AbstractContextManager[None]:
        """Give the words of this package to what goes wrong when a scan is read in the block: `StoreUnavailable`."""
        return speaking(self._backend.shown, table=name)

    def schema(self, name: str, *, version: int | None = None) -> dict[str, pl.DataType]:
        """Return the columns of a table and their types, in order.

        Raises:
            NotFound: there is no such table, or no such version of it.
        """
        return commits.columns_of(self._opened.reader(name, version=version))

    def widen(self, name: str, columns: Mapping[str, pl.DataType], *, base: int) -> int:
        """Add columns, null in the rows that are there, and return the version that has them.

        Raises:
            InvalidInput: a column is there already, or its type cannot be kept.
            Conflict: another writer committed meanwhile.
        """
        kinds = {column: schemas.stored_type(kind, field=column) for column, kind in columns.items()}
        table = self._must(name, base=base)
        there = [column for column in kinds if column in commits.columns_of(table)]
        if there:
            msg = f"The table {name!r} has a column {there[0]!r} already. Nothing was added."
            raise InvalidInput(msg, field=there[0])
        with speaking(self._backend.shown, table=name):
            commits.add_columns(table, kinds)
        return self._settle(name, table, after=base)

    def extend(self, name: str, columns: Mapping[str, pl.DataType]) -> None:
        """Add those of some columns that a shared table lacks, null in the rows that are there.

        Raises:
            InvalidInput: a type cannot be kept.
            Conflict: another writer added columns meanwhile.
            NotFound: there is no such table.
        """
        kinds = {column: schemas.stored_type(kind, field=column) for column, kind in columns.items()}
        with self._backend.sharing(name):
            table = self._opened.writer(name)
            before, there = table.version(), commits.columns_of(table)
            with speaking(self._backend.shown, table=name):
                commits.add_columns(table, {one: kind for one, kind in kinds.items() if one not in there})
            self._settle_shared(name, table, after=before)

    def remove(self, name: str, keys: pl.DataFrame, *, base: int) -> int:
        """Remove the rows that agree with a row of `keys` in all its columns, and return the version without them.

        Earlier versions still have them until they are vacuumed. Null agrees with nothing.

        Raises:
            Conflict: another writer committed meanwhile.
            NotFound: the table has no version `base`.
        """
        table = self._must(name, base=base)
        agree = " AND ".join(
            f"target.{commits.quoted(column)} = gone.{commits.quoted(column)}" for column in keys.columns
        )
        with speaking(self._backend.shown, table=name):
            merger = table.merge(
                source=schemas.stored(keys.unique()),
                predicate=agree,
                source_alias="gone",
                target_alias="target",
                commit_properties=commits.properties(None),
                post_commithook_properties=commits.AFTER,
            )
            merger.when_matched_delete().execute()
        return self._settle(name, table, after=base)

    def compact(self, name: str, *, base: int, below: int | None = None) -> int:
        """Join small files into large ones and return the version that reads them; the rows stay the same.

        `below` is the size in bytes that is aimed at: files that have it are left as they are. Returns `base` where there
        is nothing to join.

        Raises:
            Conflict: another writer committed meanwhile.
        """
        table = self._must(name, base=base)
        with speaking(self._backend.shown, table=name):
            table.optimize.compact(
                target_size=below,
                commit_properties=commits.properties(None),
                post_commithook_properties=commits.AFTER,
                writer_properties=commits.encoding_of(table, self._backend.scan_options),
            )
        return self._settle(name, table, after=base)

    def vacuum(self, name: str, *, keep: Collection[int], dry_run: bool = True) -> list[str]:
        """Remove the files that none of the kept versions reads, and return their names, sorted.

        What killed writers left goes too, so hold the lease of the table's writers. Versions that are not kept
        cannot be read afterwards. With `dry_run` nothing is removed.

        Raises:
            InvalidInput: no version is kept.
            NotFound: one of the kept versions does not exist.
        """
        if not keep:
            msg = f"Vacuum of {name!r} would remove every row: no version is kept. Use drop to remove the table."
            raise InvalidInput(msg)
        needed = {file for version in keep for file in self._files(name, version=version)}
        strays = sorted(set(self._backend.files(name)) - needed)
        if not dry_run:
            self._backend.remove(name, strays)
        return strays

    def trim(self, name: str, *, base: int, oldest: int) -> None:
        """Remove the log entries of versions before `oldest`, which can no longer be read afterwards.

        A log entry has the smallest and the largest value of each column of the rows that it added. `base` is the version
        that the caller's ledger knows.

        Raises:
            NotFound: the table has no version `base`.
        """
        table = self._must(name, base=base)
        self._backend.settle(name, after=base, to=table.version())
        self._backend.checkpoint(name)
        log = self._backend.log(name)
        kept = [entry for entry in log if commits.version_of(entry) <= oldest]
        self._backend.remove(name, commits.superseded(log, kept))

    def drop(self, name: str) -> None:
        """Remove a table with all its versions; nothing happens where there is none."""
        schemas.check_name(name)
        self._opened.forget(name)
        self._backend.drop(name)

    def names(self) -> list[str]:
        """Return the names of all tables, sorted."""
        return self._backend.names()

    def _settle(self, name: str, table: DeltaTable, *, after: int) -> int:
        """Make a commit durable, keep the table for the next one, and return its version."""
        version = table.version()
        self._backend.settle(name, after=after, to=version)
        if version // CHECKPOINT_EVERY > max(after, 0) // CHECKPOINT_EVERY:
            self._backend.checkpoint(name)
            # A state that has followed many commits is slower than one that is read from a checkpoint.
            self._opened.forget(name)
        else:
            self._opened.keep(name, table)
        return version

    def _settle_shared(self, name: str, table: DeltaTable, *, after: int) -> None:
        version = self._settle(name, table, after=after)
        self._backend.note_settled(name, version)

    def _trim_shared(self, name: str) -> None:
        """Remove the log entries that nobody can be reading any more: from before a checkpoint that is older than an hour."""
        old = self._backend.log(name, before=SystemClock().now() - expiry.READING)
        self._backend.remove(name, commits.superseded(self._backend.log(name), old))

    def _at(self, name: str, *, base: int | None) -> DeltaTable | None:
        """Return the table in the state of `base`, after undoing commits that no ledger knows."""
        try:
            table = self._find(name)
        except StoreUnavailable:
            if not self._backend.mend(name, base=base):
                raise
            table = self._find(name)
        if base is None:
            return table
        if table is None or table.version() < base:
            at = "is not there" if table is None else f"is only at version {table.version()}"
            msg = (
                f"The table {name!r} in {self._backend.shown} {at}, and the ledger knows its version {base}. "
                "Put back a backup of the tables that is not older than the ledger."
            )
            raise NotFound(msg)
        if table.version() > base:
            with speaking(self._backend.shown, table=name):
                lone = commits.properties(None)
                table.restore(base, commit_properties=lone, post_commithook_properties=commits.AFTER)
        return table

    def _must(self, name: str, *, base: int) -> DeltaTable:
        table = self._at(name, base=base)
        assert table is not None
        return table

    def _files(self, name: str, *, version: int) -> list[str]:
        table = self._opened.reader(name, version=version)
        with speaking(self._backend.shown, table=name):
            return [unquote(uri.rpartition("/")[2]) for uri in table.file_uris()]

    def _find(self, name: str) -> DeltaTable | None:
        try:
            return self._opened.writer(name)
        except NotFound:
            return None

    def _known(self, name: str) -> DeltaTable | None:
        try:
            return self._opened.reader(name)
        except NotFound:
            return None
