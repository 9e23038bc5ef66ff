"""Datasets: named tables that only grow, each commit a numbered version that never changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection

from treadle.core.clock import Clock, utc
from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.core.records import DatasetVersion, Record, Window
from treadle.data import reading, tags
from treadle.data import state as stored
from treadle.data.checks import QUARANTINE
from treadle.data.declarations import Dataset as Dataset
from treadle.data.declarations import Outcomes as Outcomes
from treadle.data.ingest import Ingestion
from treadle.data.listed import Listed
from treadle.data.pins import Pin
from treadle.data.profiles.versions import Distributions, Profile, compared, profiled
from treadle.data.reading import Selection
from treadle.data.upkeep import Collected, Upkeep
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import micros
from treadle.store.tables.tables import Tables


class Difference(Record, frozen=True, kw_only=True):
    """What happened to a dataset from one version to a later one."""

    dataset: str
    before: int
    after: int
    #: Rows that landed, were accepted and were quarantined in between, and outcomes that became known.
    landed: int
    accepted: int
    quarantined: int
    outcomes: int
    #: Of the accepted rows: corrections, and deletions. Rows that a person removed.
    corrected: int = 0
    deleted: int = 0
    removed: int = 0
    #: Rows there were, and are.
    rows_before: int = 0
    rows_after: int = 0
    #: Columns that came, as `name type`.
    columns: tuple[str, ...] = ()
    #: Files that were read.
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Forgotten(Record, frozen=True, kw_only=True):
    """What was forgotten for ever."""

    dataset: str
    #: The version that was made without it.
    version: int
    #: The first version that had it.
    first: int
    #: Rows of the newest version that were removed; there may have been more in earlier ones and in quarantine.
    removed: int


#: A version: its number, a tag, the moment at which it was the newest, or None for the newest.
Wanted = int | str | datetime | None


class Datasets(Listed):
    """Ingests datasets and reads them back.

    >>> datasets.ingest(flights)                                            # doctest: +SKIP
    >>> datasets.read("flights", version=12, split="test")                  # doctest: +SKIP
    """

    def __init__(self, *, ledger: Ledger, tables: Tables, clock: Clock, root: Path) -> None:
        super().__init__(ledger)
        self._tables = tables
        self._clock = clock
        self._ingestion = Ingestion(ledger=ledger, tables=tables, clock=clock, root=root)
        self._upkeep = Upkeep(ledger=ledger, tables=tables, clock=clock, ingestion=self._ingestion)

    def ingest(self, dataset: Dataset) -> DatasetVersion | None:
        """Read what is new in the dataset's sources and commit it; return the newest version made, None: there is no new row.

        Files that were read are not read again unless they change; running it again changes nothing. Rows that
        break the contract go to quarantine, files that cannot be read are problems; neither stops the others.
        What does not fit into memory at once is committed in portions, each a version: a process that is killed
        goes on behind the last one.

        Raises:
            ContractChanged: the declaration no longer describes the stored rows.
            SplitChanged: the declared split would move stored rows.
            InvalidDeclaration: the inferred types do not have what the declaration names.
            Busy: another process has been ingesting the same dataset for ten minutes.
        """
        return self._ingestion.run(dataset)

    def pin(self, dataset: Dataset) -> tuple[str, ...]:
        """Make sure that a declaration still describes the stored rows, and return its harmless differences.

        Raises:
            ContractChanged: it does not.
            SplitChanged: its split would move stored rows.
        """
        return self._ingestion.check(dataset)

    def version(self, name: str, version: Wanted = None) -> DatasetVersion:
        """Return one version: by number, by tag, or the one that was the newest at a moment; by default the newest.

        Raises:
            NotFound: there is no such dataset, or no such version of it.
        """
        return self._find(name, version)[1]

    def scan(
        self,
        name: str,
        *,
        version: Wanted = None,
        split: str | Sequence[str] | None = None,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        outcome: bool | None = None,
        known_at: datetime | None = None,
    ) -> pl.LazyFrame:
        """Return rows to be read when they are needed, in the order in which they landed.

        Outcomes that are kept apart are joined by key; with `known_at` only those that had arrived by then. An outcome in
        the row itself is known as soon as the row is there. `outcome=True` asks for rows whose outcome is known.

        Raises:
            NotFound: there is no such dataset, or no such version of it.
            InvalidInput: it has no such column, split, time or outcome.
        """
        return reading.scan(
            self._tables,
            **self._reading(
                name,
                version,
                split=split,
                window=window,
                columns=columns,
                outcome=outcome,
                known_at=known_at,
            ),
        )

    def read(
        self,
        name: str,
        *,
        version: Wanted = None,
        split: str | Sequence[str] | None = None,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        outcome: bool | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Return rows; see `scan`."""
        return reading.read(
            self._tables,
            **self._reading(
                name,
                version,
                split=split,
                window=window,
                columns=columns,
                outcome=outcome,
                known_at=known_at,
            ),
        )

    def quarantine(self, name: str, *, version: Wanted = None) -> pl.DataFrame:
        """Return the rows kept apart up to a version: all reasons, file, row, version, part, and the row as JSON text."""
        _, found = self._find(name, version)
        columns = [*QUARANTINE, "_part", "_version", "_ingested_at"]
        if found.quarantine_table_version is None:
            kinds = {"_part": pl.String(), "_version": pl.Int64(), "_ingested_at": pl.Datetime("us", "UTC")}
            return pl.DataFrame(schema={**QUARANTINE, **kinds})
        table = f"{name}/quarantine"
        with self._tables.reading(table):
            rows = self._tables.scan(table, version=found.quarantine_table_version)
            return rows.select(columns).sort("_version", "_part", "_file", "_row").collect()

    def profile(
        self, name: str, *, version: Wanted = None, against: Wanted = None, outcome: str | None = None
    ) -> Profile:
        """Return a version in numbers, compared with an earlier one if asked for; `outcome` replaces the declared one."""
        readings = [
            self._reading(name, one) for one in ([version] if against is None else [version, against])
        ]
        return profiled(self._tables, readings, history=self.versions(name), outcome=outcome)

    def difference(self, name: str, before: Wanted, *, after: Wanted = None) -> Difference:
        """Return what happened from one version to a later one, the newest by default.

        Raises:
            InvalidInput: the second is the earlier one.
        """
        first, last = self.version(name, before), self.version(name, after)
        if last.version < first.version:
            msg = f"Version {last.version} of {name!r} is before version {first.version}. Give the earlier one first."
            raise InvalidInput(msg)
        between = [one for one in self.versions(name) if first.version < one.version <= last.version]
        there = dict(first.schema)
        return Difference(
            dataset=name,
            before=first.version,
            after=last.version,
            landed=sum(one.landed for one in between),
            accepted=sum(one.accepted for one in between),
            quarantined=sum(one.quarantined for one in between),
            outcomes=sum(one.outcomes for one in between),
            corrected=sum(one.corrected for one in between),
            deleted=sum(one.deleted for one in between),
            removed=sum(one.removed for one in between),
            rows_before=first.rows,
            rows_after=last.rows,
            columns=tuple(f"{column} {kind}" for column, kind in last.schema if column not in there),
            files=tuple(file for one in between for file in one.files),
            problems=tuple(problem for one in between for problem in one.problems),
        )

    def distributions(self, name: str, before: Wanted, *, after: Wanted = None) -> Distributions:
        """Return how far each column moved from one version to a later one, the newest by default, in effect sizes and counts.

        Raises:
            InvalidInput: the second is not the later one.
        """
        readings = [self._reading(name, one) for one in (before, after)]
        return compared(self._tables, *readings, history=self.versions(name))

    def roll_back(self, name: str, to: Wanted, *, reason: str) -> DatasetVersion:
        """Commit a new version that holds what an earlier one held.

        Nothing is lost: the rows that came since stay readable in the versions in between. Their files stay read; files
        that are landed anew, or changed, are read again.

        Raises:
            NotFound: there is no such version, or it was collected.
        """
        pin, found = self._find(name, to)
        check_readable(pin, found)
        return self._upkeep.roll_back(name, to=found, reason=reason)

    def delete(self, name: str, *, where: Mapping[str, Any], reason: str) -> DatasetVersion:
        """Commit a new version without the rows whose columns have these values (one, or a list of some).

        Earlier versions keep them; see `forget` for what must not be kept at all.

        Raises:
            NotFound: no row has them.
            InvalidInput: a column does not exist, or a value has another type.
        """
        self._find(name, None)
        return self._upkeep.delete(name, where=where, reason=reason)

    def forget(self, name: str, *, where: Mapping[str, Any], reason: str) -> Forgotten:
        """Take rows out of every version and of quarantine, with their outcomes, so that no byte of them is left.

        Versions stay readable, without these rows. Landed files and online stores are the caller's (`Workspace.forget`
        cares for the latter).

        Raises:
            NotFound: no row has these values, in any version or in quarantine.
            InvalidInput: a column does not exist, or a value has another type.
        """
        self._find(name, None)
        version, first = self._upkeep.forget(name, where=where, reason=reason)
        return Forgotten(dataset=name, version=version.version, first=first, removed=version.removed)

    def collect(self, name: str, *, keep: Collection[int], dry_run: bool = True) -> Collected:
        """Remove what only versions outside `keep` need; the newest and the tagged ones are always kept.

        Versions that were never corrected, rolled back or deleted from need nothing of their own, so they stay readable
        whether kept or not. With `dry_run` nothing is removed.

        Raises:
            NotFound: one of the kept versions does not exist.
        """
        kept = {self.version(name, number).version for number in keep}
        with self._ledger.read() as connection:
            kept |= {tag.version for tag in tags.of(connection, name)}
        return self._upkeep.collect(name, keep=kept, dry_run=dry_run)

    def _reading(
        self,
        name: str,
        version: Wanted,
        *,
        split: str | Sequence[str] | None = None,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        outcome: bool | None = None,
        known_at: datetime | None = None,
    ) -> dict[str, Any]:
        """Return what reading needs to know of a version, and what is wanted of it."""
        pin, found = self._find(name, version)
        check_readable(pin, found)
        selection = Selection(
            split=split if split is None or isinstance(split, str) else tuple(split),
            window=window,
            columns=None if columns is None else tuple(columns),
            outcome=outcome,
            known_at=known_at,
        )
        newest = found if version is None else self._find(name, None)[1]
        return {"version": found, "newest": newest, "pin": pin, "selection": selection}

    def _find(self, name: str, version: Wanted) -> tuple[Pin, DatasetVersion]:
        with self._ledger.read() as connection:
            pin = stored.read_pin(connection, name)
            number = self._number(connection, name, version)
            found = None if number == 0 else stored.read_version(connection, name, number)
        if pin is None:
            msg = f"Dataset {name!r} has no version yet. {closest(name, self.names())} Read its files with: treadle ingest {name}"
            raise NotFound(msg)
        if found is None:
            raise self._no_version(name, version)
        return pin, found

    def _number(self, connection: Connection, name: str, version: Wanted) -> int | None:
        """Return the number of the wanted version; 0: there is none such, None: the newest is wanted."""
        if isinstance(version, str) and version.isdigit():
            return int(version)
        if isinstance(version, str):
            return next((tag.version for tag in tags.of(connection, name) if tag.tag == version), 0)
        if isinstance(version, datetime):
            return stored.number_at(connection, name, micros(utc(version)))
        return version

    def _no_version(self, name: str, version: Wanted) -> NotFound:
        if isinstance(version, str) and not version.isdigit():
            with self._ledger.read() as connection:
                return tags.unknown(connection, name, version)
        newest = self.version(name).version
        if isinstance(version, datetime):
            first = self.version(name, 1).created_at
            msg = f"Dataset {name!r} had no version at {version.isoformat()}: its first is of {first.isoformat()}."
            return NotFound(msg)
        return NotFound(f"Dataset {name!r} has no version {version}. Its versions are 1 to {newest}.")


def check_readable(pin: Pin, version: DatasetVersion) -> None:
    """Make sure that a version can still be read as it was.

    Raises:
        NotFound: what it needs was collected.
    """
    for first, last in pin.collected:
        if first <= version.version <= last:
            msg = (
                f"Version {version.version} of dataset {pin.name!r} was collected: rows that were corrected or removed after "
                f"it are gone, as of versions {first} to {last}. Read version {last + 1} or a later one."
            )
            raise NotFound(msg)
