"""Datasets: named tables that only grow, each commit a numbered version that never changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
from sqlalchemy import select

from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.core.records import DatasetVersion, Record, Window
from treadle.data import reading
from treadle.data import state as stored
from treadle.data.checks import QUARANTINE
from treadle.data.declarations import Dataset as Dataset
from treadle.data.declarations import Outcomes as Outcomes
from treadle.data.ingest import Ingestion
from treadle.data.pins import Pin
from treadle.data.profile import Profile, profile
from treadle.data.reading import Selection
from treadle.store.ledger import tables as relations
from treadle.store.ledger.ledger import Ledger
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
    #: Columns that came, as `name type`.
    columns: tuple[str, ...] = ()
    #: Files that were read.
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Datasets:
    """Ingests datasets and reads them back.

    >>> datasets.ingest(flights)                                            # doctest: +SKIP
    >>> datasets.read("flights", version=12, split="test")                  # doctest: +SKIP
    """

    def __init__(self, *, ledger: Ledger, tables: Tables, clock: Clock, root: Path) -> None:
        self._ledger = ledger
        self._tables = tables
        self._ingestion = Ingestion(ledger=ledger, tables=tables, clock=clock, root=root)

    def ingest(self, dataset: Dataset) -> DatasetVersion | None:
        """Read what is new in the dataset's sources and commit it as one version; None: there is no new row.

        Files that were read are not read again unless they change; running it again changes nothing. Rows that
        break the contract go to quarantine, files that cannot be read are problems; neither stops the others.

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

    def names(self) -> list[str]:
        """Return the names of all datasets that have a version, sorted."""
        with self._ledger.read() as connection:
            return sorted(connection.execute(select(relations.datasets.c.name)).scalars())

    def version(self, name: str, version: int | None = None) -> DatasetVersion:
        """Return one version, the newest by default.

        Raises:
            NotFound: there is no such dataset, or no such version of it.
        """
        return self._find(name, version)[1]

    def versions(self, name: str) -> list[DatasetVersion]:
        """Return every version, oldest first; none where nothing was ingested yet."""
        with self._ledger.read() as connection:
            return stored.read_versions(connection, name)

    def scan(
        self,
        name: str,
        *,
        version: int | None = None,
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
        pin, found = self._find(name, version)
        selection = Selection(
            split=split if split is None or isinstance(split, str) else tuple(split),
            window=window,
            columns=None if columns is None else tuple(columns),
            outcome=outcome,
            known_at=known_at,
        )
        return reading.scan(self._tables, found, pin=pin, selection=selection)

    def read(
        self,
        name: str,
        *,
        version: int | None = None,
        split: str | Sequence[str] | None = None,
        window: Window | None = None,
        columns: Sequence[str] | None = None,
        outcome: bool | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Return rows; see `scan`."""
        rows = self.scan(
            name,
            version=version,
            split=split,
            window=window,
            columns=columns,
            outcome=outcome,
            known_at=known_at,
        )
        with self._tables.reading(f"{name}/rows"):
            return rows.collect()

    def quarantine(self, name: str, *, version: int | None = None) -> pl.DataFrame:
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

    def problems(self, name: str) -> list[str]:
        """Return the present problems with whole files, as `path: reason`."""
        with self._ledger.read() as connection:
            return stored.read_problems(connection, name)

    def profile(self, name: str, *, version: int | None = None) -> Profile:
        """Return a version's rows as numbers: types, missing shares, distributions, time covered, sizes of the splits."""
        pin, found = self._find(name, version)
        rows = self.read(name, version=found.version)
        return profile(rows, dataset=name, version=found.version, time=pin.time)

    def difference(self, name: str, before: int, *, after: int | None = None) -> Difference:
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
            columns=tuple(f"{column} {kind}" for column, kind in last.schema if column not in there),
            files=tuple(file for one in between for file in one.files),
            problems=tuple(problem for one in between for problem in one.problems),
        )

    def collect(self, name: str, *, keep: Collection[int], dry_run: bool = True) -> list[str]:
        """Remove the files that only versions outside `keep` read, and return their names; the newest is always kept.

        Versions that are not kept keep their record, and their rows can still be read from later versions.

        Raises:
            NotFound: one of the kept versions does not exist.
        """
        kept = [self.version(name, number) for number in keep] + [self.version(name)]
        return self._ingestion.vacuum(name, kept, dry_run=dry_run)

    def _find(self, name: str, version: int | None) -> tuple[Pin, DatasetVersion]:
        with self._ledger.read() as connection:
            pin = stored.read_pin(connection, name)
            found = stored.read_version(connection, name, version)
        if pin is None:
            msg = f"Dataset {name!r} has no version yet. {closest(name, self.names())} Read its files with: treadle ingest {name}"
            raise NotFound(msg)
        if found is None:
            msg = f"Dataset {name!r} has no version {version}. Its versions are 1 to {self.version(name).version}."
            raise NotFound(msg)
        return pin, found
