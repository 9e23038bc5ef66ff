"""Ingestion: new rows become new versions of a dataset, or nothing at all.

Rows go to the tables first; one ledger transaction then makes them count. A process that dies in between leaves rows that
no version names, which the next ingestion undoes before it adds its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from treadle.core.clock import Clock
from treadle.core.errors import RuleBroken
from treadle.core.records import DatasetVersion
from treadle.data import state as stored
from treadle.data.changes import Changes
from treadle.data.checks import failures
from treadle.data.commits import Commit, known_versions, table_name, version_of
from treadle.data.contracts import ContractSpec
from treadle.data.declarations import (
    Dataset,
    Part,
    check_apart,
    check_declared,
    check_roles,
    check_stamps,
    joined_columns,
)
from treadle.data.inflow import Inflow
from treadle.data.judgement import Judge
from treadle.data.keyindex import WORTH_WRITING, Fingerprints, KeyIndex, bounds, look_up
from treadle.data.keys import tell_apart, told_nothing
from treadle.data.landing import Found, landed_nothing, look
from treadle.data.pins import Pin, broken, check_contract, check_nature, declared
from treadle.data.state import WHOLE, FileRecord, State, read_state
from treadle.data.writing import Writer
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.remembered import Remembered
from treadle.store.ledger.tables import micros
from treadle.store.tables.tables import Tables

#: Where this machine keeps what can be made again.
CACHE = Path(".treadle/cache")
#: Rows from which on the keys of a dataset are looked up in an index instead of in the table.
INDEXED = 200_000


@dataclass(frozen=True)
class Survey:
    """What there is to do, found without writing anything."""

    state: State
    #: Whether the declaration differs from what is pinned.
    is_changed: bool
    #: By part: the files that may be new.
    looks: dict[str, Found]

    @property
    def has_gone(self) -> bool:
        """Whether problems are over because their files are gone."""
        return any(found.gone for found in self.looks.values())


class Ingestion:
    """Reads what is new in a dataset's sources and commits it."""

    def __init__(self, *, ledger: Ledger, tables: Tables, clock: Clock, root: Path) -> None:
        self._ledger, self._remembered = ledger, Remembered(ledger)
        self._tables = tables
        self._clock = clock
        self._root = root
        self._judge = Judge(tables=tables, clock=clock, state=self.state)

    def run(self, dataset: Dataset) -> DatasetVersion | None:
        """Read what is new and commit it, portion by portion; return the last version made, None: there is no new row.

        Raises:
            ContractChanged: the declaration no longer describes the stored rows.
            SplitChanged: the declared split would move stored rows.
            RuleBroken: the new rows break a rule of the dataset, or too many are bad; what was committed before stays.
            SourceUnreadable: a source that is read in order does not answer; what was committed before stays.
            Busy: another process has been ingesting the same dataset for ten minutes.
        """
        with ExitStack() as opened:
            survey = self._survey(dataset)
            inflow = opened.enter_context(self._inflow(dataset, survey))
            if inflow.is_dry and not survey.is_changed and not survey.has_gone:
                return None
            with self.lease(dataset.name) as lease:
                if self.state(dataset.name) != survey.state:
                    opened.close()
                    survey = self._survey(dataset)
                    inflow = opened.enter_context(self._inflow(dataset, survey))
                return self._drain(dataset, lease, survey=survey, inflow=inflow)

    def check(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the differences of the declared contracts that stored rows can live with; see `run` for what is raised."""
        state = self.state(dataset.name)
        return tuple(text for changes in self._changes(dataset, state).values() for text in changes.all)

    def _survey(self, dataset: Dataset) -> Survey:
        """Look at the ledger and the sources; see `run` for what is raised."""
        state = self._remembered.of(dataset.name, lambda: self.state(dataset.name))
        changed = bool(self._changes(dataset, state)) or (
            state.pin is not None and state.pin != pin_of(dataset, state.pin)
        )
        looks = {
            name: look(part, part.listed, state, root=self._root)
            for name, part in dataset.parts().items()
            if part.listed is not None
        }
        return Survey(state, changed, looks)

    def _inflow(self, dataset: Dataset, survey: Survey) -> Inflow:
        return Inflow(dataset, survey.looks, survey.state.positions, self._root)

    def state(self, name: str) -> State:
        """Return what the ledger knows of a dataset."""
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

    def _drain(
        self, dataset: Dataset, lease: Lease, *, survey: Survey, inflow: Inflow
    ) -> DatasetVersion | None:
        """Commit what flows in until nothing more does; the declaration's changes count with the first commit."""
        state, made = survey.state, None
        while True:
            commit, parts = self._begin(dataset, state), inflow.waiting()
            taken = []
            for name in parts:
                if name != "rows" and "rows" not in commit.contracts:
                    # Nothing is known of the rows yet that these outcomes belong to: they wait.
                    inflow.leave(name)
                    continue
                taken.append(name)
                self._read(dataset, inflow, part=name, state=state, commit=commit)
            try:
                self._judge.judge(dataset, state=state, commit=commit)
            except RuleBroken as error:
                self._tell(dataset.name, str(error))
                raise
            version = None if commit.is_empty else self._store(dataset, state=state, commit=commit)
            state = self._record(
                dataset, lease, looks=survey.looks, state=state, commit=commit, version=version
            )
            if version is not None:
                self._remember(dataset.name, commit, version=version.version)
            made = version or made
            for name in taken:
                inflow.advance(name)
            if inflow.is_dry:
                return made

    def _begin(self, dataset: Dataset, state: State) -> Commit:
        """Begin a commit under the declared contracts; the first one makes the table of rows, also where none has come."""
        commit = Commit.after(state)
        for name, part in dataset.parts().items():
            if part.contract is not None:
                commit.contracts[name] = part.contract.spec()
        if state.last is None and "rows" in commit.contracts:
            commit.landed["rows"] = nobody = landed_nothing(commit.contracts["rows"])
            commit.told["rows"] = told_nothing(nobody.good)
        return commit

    def _read(self, dataset: Dataset, inflow: Inflow, *, part: str, state: State, commit: Commit) -> None:
        """Read, check and tell apart one portion of a part's new rows."""
        portion = inflow.take(part)
        declared_part = portion.part
        spec = declared_part.contract.spec() if declared_part.contract else commit.contracts.get(part)
        rows = commit.contracts.get("rows")
        kinds = (
            {name: rows.column(name).kind for name in dataset.key_columns} if rows and part != "rows" else {}
        )
        landed = portion.land(state, spec=spec, kinds=kinds)
        if part == "rows":
            self._judge.leave_out(dataset, landed, state)
        commit.landed[part] = landed
        if landed.spec is None:
            return
        _check_inferred(dataset, declared_part, landed.spec, rows)
        commit.contracts[part] = landed.spec
        prints = commit.prints[part] = Fingerprints(landed.good.select(dataset.key_columns))
        commit.told[part] = tell_apart(
            landed.good,
            key=dataset.key_columns,
            updated=declared_part.updated,
            passed_over=declared_part.passed_over,
            twins=prints.has_twins,
            stored=lambda keys: self.holders(dataset, part, keys, state=state, prints=prints),
        )

    def _tell(self, name: str, problem: str) -> None:
        """Let `status` show why nothing was taken in, until something is."""
        record = FileRecord(
            part="rows", path=WHOLE, stamp="-", content="", reader="rules", status="problem", reason=problem
        )
        with self._ledger.write() as connection:
            stored.write_files(connection, name, [record], version=None, at=micros(self._clock.now()))

    def holders(
        self,
        dataset: Dataset,
        part: str,
        keys: pl.DataFrame,
        *,
        state: State,
        prints: Fingerprints | None = None,
    ) -> pl.DataFrame | None:
        """Return the stored rows that have one of these keys."""
        table = table_name(dataset.name, part)
        base = known_versions(state.last)[table] if state.last else None
        if base is None or state.last is None:
            return None

        def rows_of(wanted: pl.DataFrame, first: int, last: int) -> pl.DataFrame:
            with self._tables.reading(table):
                rows = self._tables.scan(table, version=base).filter(
                    pl.col("_version").is_between(first, last) & bounds(wanted, dataset.key_columns)
                )
                return rows.join(wanted.unique().lazy(), on=wanted.columns, how="semi").collect()

        if state.last.rows < INDEXED:
            return rows_of(keys, 0, state.last.version)
        return look_up(
            keys,
            prints=prints or Fingerprints(keys),
            index=self._index(dataset.name, part),
            newest=state.last.version,
            count=state.last.written if part == "rows" else state.last.outcomes_known,
            read_keys=lambda after: self._keys(table, base, dataset.key_columns, after=after),
            read_rows=rows_of,
        )

    def _remember(self, name: str, commit: Commit, *, version: int) -> None:
        """Put many new keys into the index at once, while their hashes are at hand."""
        for part, prints in commit.prints.items():
            if len(prints) >= WORTH_WRITING:
                index = self._index(name, part)
                if index.covered == version - 1:
                    index.extend(prints, last=version)

    def _keys(self, table: str, base: int, key: Sequence[str], *, after: int) -> pl.DataFrame:
        with self._tables.reading(table):
            return (
                self._tables.scan(table, version=base)
                .filter(pl.col("_version") > after)
                .select(key)
                .collect()
            )

    def _index(self, name: str, part: str) -> KeyIndex:
        """Open the index of a part's keys; one of an earlier dataset of that name does not count."""
        with self._ledger.read() as connection:
            first = stored.read_version(connection, name, 1)
        identity = f"{self._tables.shown} {first.created_at.isoformat() if first else ''}"
        return KeyIndex(self._root / CACHE / "keys" / name / part, identity=identity)

    def _store(self, dataset: Dataset, *, state: State, commit: Commit) -> DatasetVersion:
        """Write the rows to their tables and return the version that will name them."""
        number, at = self.next_version(state.last)
        Writer(self._tables, commit).write(
            dataset, number=number, at=at, written=state.last.written if state.last else 0
        )
        return version_of(dataset, last=state.last, commit=commit, number=number, at=at)

    def next_version(self, last: DatasetVersion | None) -> tuple[int, datetime]:
        """Return the number and the moment of the version that follows; the moment never goes backwards."""
        now = self._clock.now()
        return (last.version + 1, max(now, last.created_at)) if last else (1, now)

    def _record(
        self,
        dataset: Dataset,
        lease: Lease,
        *,
        looks: Mapping[str, Found],
        state: State,
        commit: Commit,
        version: DatasetVersion | None,
    ) -> State:
        """Make everything count, in one transaction; return the state after it."""
        at = micros(version.created_at if version else self._clock.now())
        after = replace(state, last=version or state.last)
        with self._ledger.write() as connection:
            lease.check(connection)
            if version is not None:
                stored.write_version(connection, version)
            if version is not None or state.pin is not None:
                pin = pin_of(dataset, commit)
                if pin != state.pin:
                    stored.write_pin(connection, pin)
                after = replace(after, pin=pin)
            for gone in (gone for found in looks.values() for gone in found.gone):
                stored.forget_problem(connection, dataset.name, part=gone.part, path=gone.path)
            stored.forget_problem(connection, dataset.name, part="rows", path=WHOLE)
            for name, landed in commit.landed.items():
                for old, stamp in landed.touched:
                    stored.write_stamp(connection, dataset.name, old, stamp=stamp)
                number = version.version if version else None
                stored.write_files(connection, dataset.name, landed.files, version=number, at=at)
                if landed.position is not None:
                    stored.write_position(connection, dataset.name, part=name, position=landed.position)
        return after

    def lease(self, name: str) -> AbstractContextManager[Lease]:
        """Take the dataset's lease, waiting for another process to finish."""
        return self._ledger.turn(f"dataset:{name}", holder="ingest", clock=self._clock)


def pin_of(dataset: Dataset, stored_as: Pin | Commit) -> Pin:
    """Return what the declaration pins, with the contracts and tables that there are."""
    return declared(
        dataset,
        contracts=stored_as.contracts,
        compacted=stored_as.compacted,
        columns=stored_as.columns,
        collected=stored_as.collected,
        forgotten=stored_as.forgotten,
        summary=stored_as.summary,
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
    check_declared((part.updated,) if part.updated else (), spec, where=where)
    if part.name == "rows":
        check_declared([name for name in (dataset.outcome, dataset.deleted) if name], spec, where=where)
        check_stamps(spec, updated=part.updated, deleted=dataset.deleted, where=where)
    elif dataset.outcomes and rows:
        check_declared(dataset.outcomes.columns, spec, where=where)
        check_apart(joined_columns(dataset.outcomes), rows, where=where)
