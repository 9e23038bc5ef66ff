"""Ingestion: new files become one new version of a dataset, or nothing at all.

Rows go to the tables first; one ledger transaction then makes them count. A process that dies in between leaves rows that
no version names, which the next ingestion undoes before it adds its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy
from treadle.core.records import DatasetVersion
from treadle.data import state as stored
from treadle.data.changes import Changes
from treadle.data.checks import failures
from treadle.data.commits import Commit, known_versions, table_name, version_of, with_system_columns
from treadle.data.contracts import ContractSpec
from treadle.data.declarations import Dataset, Part, check_apart, check_declared, check_roles, joined_columns
from treadle.data.keys import tell_apart
from treadle.data.landing import Found, land, look
from treadle.data.pins import Pin, broken, check_contract, check_nature, declared
from treadle.data.state import State, read_state
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import micros
from treadle.store.tables.tables import Tables

#: Commits after which the small files of a table are joined.
COMPACT_EVERY = 32
_LEASE_SECONDS = 60.0
_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Survey:
    """What there is to do, found without writing anything."""

    state: State
    #: Whether the declaration differs from what is pinned.
    is_changed: bool
    #: By part: the files that may be new.
    looks: dict[str, Found]

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return not self.is_changed and not any(found.new or found.gone for found in self.looks.values())


class Ingestion:
    """Reads what is new in a dataset's sources and commits it."""

    def __init__(self, *, ledger: Ledger, tables: Tables, clock: Clock, root: Path) -> None:
        self._ledger = ledger
        self._tables = tables
        self._clock = clock
        self._root = root

    def run(self, dataset: Dataset) -> DatasetVersion | None:
        """Read what is new and commit it as one version; None: there is no new row.

        Raises:
            ContractChanged: the declaration no longer describes the stored rows.
            SplitChanged: the declared split would move stored rows.
            Busy: another process has been ingesting the same dataset for ten minutes.
        """
        survey = self._survey(dataset)
        if survey.is_current:
            return None
        with self._lease(dataset.name) as lease:
            return self._ingest(dataset, lease, survey=survey)

    def check(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the differences of the declared contracts that stored rows can live with; see `run` for what is raised."""
        state = self._state(dataset.name)
        return tuple(text for changes in self._changes(dataset, state).values() for text in changes.all)

    def vacuum(self, name: str, kept: Sequence[DatasetVersion], *, dry_run: bool) -> list[str]:
        """Remove the files that none of the kept versions reads, under the dataset's lease."""
        removed = []
        with self._lease(name):
            for table in known_versions(kept[0]):
                numbers = {number for one in kept if (number := known_versions(one)[table]) is not None}
                if numbers:
                    removed += self._tables.vacuum(table, keep=numbers, dry_run=dry_run)
        return removed

    def _survey(self, dataset: Dataset) -> Survey:
        """Look at the ledger and the sources; see `run` for what is raised."""
        state = self._state(dataset.name)
        changed = bool(self._changes(dataset, state)) or (
            state.pin is not None and state.pin != _pin(dataset, state.pin)
        )
        looks = {name: look(part, state, root=self._root) for name, part in dataset.parts().items()}
        return Survey(state, changed, looks)

    def _state(self, name: str) -> State:
        with self._ledger.read() as connection:
            return read_state(connection, name)

    def _changes(self, dataset: Dataset, state: State) -> dict[str, Changes]:
        """Return the accepted changes of each part's contract.

        Raises:
            ContractChanged: stored rows cannot meet a declared contract, or do not.
            SplitChanged: stored rows would move.
        """
        if state.pin is None or state.last is None:
            return {}
        check_nature(dataset, state.pin)
        found = {}
        for name, part in dataset.parts().items():
            changes = check_contract(dataset, name, state.pin)
            if changes is None:
                continue
            if changes.narrowing:
                self._check_stored_rows(dataset, part, state.last)
            found[name] = changes
        return found

    def _check_stored_rows(self, dataset: Dataset, part: Part, last: DatasetVersion) -> None:
        version = known_versions(last)[table_name(dataset.name, part.name)]
        if version is None or part.contract is None:
            return
        rows = self._tables.scan(table_name(dataset.name, part.name), version=version)
        told = failures(rows, part.contract.spec(), rules=part.rules())
        if told:
            raise broken(dataset.name, part.name, tuple(told))

    def _ingest(self, dataset: Dataset, lease: Lease, *, survey: Survey) -> DatasetVersion | None:
        """Do what the survey found, or what is left of it if another process was quicker."""
        if self._state(dataset.name) != survey.state:
            survey = self._survey(dataset)
        state, looks = survey.state, survey.looks
        commit = Commit.after(state)
        for name, found in looks.items():
            if name != "rows" and "rows" not in commit.contracts:
                continue  # nothing is known of the rows yet that these outcomes belong to: they wait
            self._read(dataset, found, state=state, commit=commit)
        version = None if commit.is_empty else self._store(dataset, state=state, commit=commit)
        self._record(dataset, lease, looks=looks, state=state, commit=commit, version=version)
        return version

    def _read(self, dataset: Dataset, found: Found, *, state: State, commit: Commit) -> None:
        """Read, check and tell apart one part's new rows."""
        part = found.part
        spec = part.contract.spec() if part.contract else commit.contracts.get(part.name)
        rows = commit.contracts.get("rows")
        kinds = (
            {name: rows.column(name).kind for name in dataset.key_columns}
            if rows and part.name != "rows"
            else {}
        )
        landed = land(found, state, spec=spec, kinds=kinds)
        commit.landed[part.name] = landed
        if landed.spec is None:
            return
        _check_inferred(dataset, part, landed.spec, rows)
        commit.contracts[part.name] = landed.spec
        table = table_name(dataset.name, part.name)
        base = commit.bases.get(table)
        commit.told[part.name] = tell_apart(
            landed.good,
            key=dataset.key_columns,
            passed_over=part.passed_over,
            stored_keys=self._stored_keys(table, base, dataset.key_columns) if landed.good.height else None,
            stored_rows=lambda keys: self._stored_rows(table, base, keys),
        )

    def _stored_keys(self, table: str, base: int | None, key: tuple[str, ...]) -> pl.DataFrame | None:
        if base is None:
            return None
        with self._tables.reading(table):
            return self._tables.scan(table, version=base).select(key).collect()

    def _stored_rows(self, table: str, base: int | None, keys: pl.DataFrame) -> pl.DataFrame:
        with self._tables.reading(table):
            rows = self._tables.scan(table, version=base)
            return rows.join(keys.lazy(), on=keys.columns, how="semi").collect()

    def _store(self, dataset: Dataset, *, state: State, commit: Commit) -> DatasetVersion:
        """Append the rows to their tables and return the version that will name them."""
        last = state.last
        now = self._clock.now()
        at = max(now, last.created_at) if last else now
        number = last.version + 1 if last else 1
        written = {}
        for part, told in commit.told.items():
            if told.fresh.height or (part == "rows" and last is None):
                rows = with_system_columns(told.fresh, dataset, part=part, number=number, at=at)
                written[part] = self._append(table_name(dataset.name, part), rows, commit=commit)
        bad = commit.bad
        if bad.height:
            marked = bad.with_columns(
                pl.lit(number, dtype=pl.Int64).alias("_version"), pl.lit(at).alias("_ingested_at")
            )
            written["quarantine"] = self._append(
                table_name(dataset.name, "quarantine"), marked, commit=commit
            )
        return version_of(dataset, last=last, commit=commit, number=number, at=at, written=written)

    def _append(self, table: str, rows: pl.DataFrame, *, commit: Commit) -> int:
        """Append rows, after joining small files and adding columns where it is time."""
        base = commit.bases.get(table)
        if base is not None:
            if base - commit.compacted.get(table, 0) >= COMPACT_EVERY:
                base = commit.compacted[table] = self._tables.compact(table, base=base)
            there = commit.columns[table]
            fresh = {name: dtype for name, dtype in rows.schema.items() if name not in there}
            if fresh:
                base = self._tables.widen(table, fresh, base=base)
            rows = rows.select(*there, *fresh)
        commit.columns[table] = tuple(rows.columns)
        return self._tables.append(table, rows, base=base)

    def _record(
        self,
        dataset: Dataset,
        lease: Lease,
        *,
        looks: Mapping[str, Found],
        state: State,
        commit: Commit,
        version: DatasetVersion | None,
    ) -> None:
        """Make everything count, in one transaction."""
        at = micros(version.created_at if version else self._clock.now())
        with self._ledger.write() as connection:
            lease.check(connection)
            if version is not None:
                stored.write_version(connection, version)
            if version is not None or state.pin is not None:
                pin = _pin(dataset, commit)
                if pin != state.pin:
                    stored.write_pin(connection, pin)
            for name, landed in commit.landed.items():
                for gone in looks[name].gone:
                    stored.forget_problem(connection, dataset.name, part=gone.part, path=gone.path)
                for old, stamp in landed.touched:
                    stored.write_stamp(connection, dataset.name, old, stamp=stamp)
                number = version.version if version else None
                stored.write_files(connection, dataset.name, landed.files, version=number, at=at)

    @contextmanager
    def _lease(self, name: str) -> Iterator[Lease]:
        """Take the dataset's lease, waiting for another process to finish."""
        deadline = monotonic() + _PATIENCE_SECONDS
        with ExitStack() as stack:
            while True:
                held = self._ledger.lease(
                    f"dataset:{name}", holder="ingest", ttl=_LEASE_SECONDS, clock=self._clock
                )
                try:
                    lease = stack.enter_context(held)
                    break
                except Busy:
                    if monotonic() > deadline:
                        raise
                threading.Event().wait(_PAUSE_SECONDS)
            yield lease


def _pin(dataset: Dataset, stored_as: Pin | Commit) -> Pin:
    """Return what the declaration pins, with the contracts and tables that there are."""
    return declared(
        dataset, contracts=stored_as.contracts, compacted=stored_as.compacted, columns=stored_as.columns
    )


def _check_inferred(dataset: Dataset, part: Part, spec: ContractSpec, rows: ContractSpec | None) -> None:
    """Make sure that an inferred contract has what the declaration names."""
    if not spec.inferred:
        return
    where = f"Dataset {dataset.name!r}, {part.name}, as inferred from the first files"
    group = dataset.split.groups if dataset.split and part.name == "rows" else ()
    check_declared((*part.needed, *group), spec, where=where)
    moment = dataset.time if part.name == "rows" else dataset.outcomes.arrived if dataset.outcomes else None
    check_roles(spec, keys=dataset.key_columns, moment=moment, group=group, where=where)
    if part.name == "rows":
        check_declared((dataset.outcome,) if dataset.outcome else (), spec, where=where)
    elif dataset.outcomes and rows:
        check_declared(dataset.outcomes.columns, spec, where=where)
        check_apart(joined_columns(dataset.outcomes), rows, where=where)
