"""Upkeep of what a dataset holds: going back, deleting, forgetting for ever, and collecting what nobody needs.

Each is a commit of its own with a reason, made under the dataset's lease: tables first, then one ledger transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import polars as pl

from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.core.records import DatasetVersion, Record
from treadle.data import state as stored
from treadle.data.commits import Commit, known_versions, table_name, tables_of
from treadle.data.history import SUFFIX, UNTIL, PartName, is_live, known, merged, to_prune
from treadle.data.ingest import Ingestion
from treadle.data.pins import Pin
from treadle.data.quarantined import matching
from treadle.data.state import State, read_state
from treadle.data.summaries import renewed
from treadle.data.types import DTYPES, Kind, convert
from treadle.data.writing import Writer
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

#: Files that were replaced this recently are not removed: somebody may be reading them.
GRACE = timedelta(hours=1)
_PARTS: tuple[PartName, ...] = ("rows", "outcomes")


class Collected(Record, frozen=True, kw_only=True):
    """What a collection removes, or would remove."""

    dataset: str
    #: Ranges of versions, first and last, that can no longer be read as they were.
    versions: tuple[tuple[int, int], ...]
    #: Forms of rows and outcomes that leave the history.
    forms: int
    #: Files, by table and name.
    files: tuple[str, ...]


@dataclass
class Work:
    """One commit of upkeep while it is made."""

    name: str
    state: State
    pin: Pin
    last: DatasetVersion
    commit: Commit
    writer: Writer
    lease: Lease
    number: int
    #: What the new version's record says besides its tables.
    says: dict[str, Any] = field(default_factory=dict)


class Upkeep:
    """Changes what is stored in datasets, with the history kept."""

    def __init__(self, *, ledger: Ledger, tables: Tables, clock: Clock, ingestion: Ingestion) -> None:
        self._ledger, self._tables, self._clock, self._ingestion = ledger, tables, clock, ingestion

    def roll_back(self, name: str, *, to: DatasetVersion, reason: str) -> DatasetVersion:
        """Commit a version that holds what `to` held; rows that came since are in the history, and their files stay read."""

        def do(work: Work) -> None:
            removed = sum(self._roll_part(work, part, to.version) for part in _PARTS)
            work.says = {"rows": to.rows, "outcomes_known": to.outcomes_known, "removed": removed}

        return self._commit(name, do, why=f"rolled back to version {to.version}: {reason}")

    def delete(self, name: str, *, where: Mapping[str, Any], reason: str) -> DatasetVersion:
        """Commit a version without the rows whose columns have these values, and without their outcomes.

        Raises:
            NotFound: no row has them.
        """

        def do(work: Work) -> None:
            gone = self._current(work, "rows").filter(_matches(work.pin, where)).collect()
            if gone.is_empty():
                raise _nobody(name, where)
            work.writer.move(table_name(name, "rows"), gone, by=work.pin.key, until=work.number)
            known_gone = self._leave_with(work, gone.select(work.pin.key))
            live = _live(work.pin, gone)
            work.says = {
                "rows": work.last.rows - live.height,
                "outcomes_known": work.last.outcomes_known - known_gone - _in_row(work.pin, live),
                "removed": live.height,
            }

        return self._commit(name, do, why=f"deleted {_told(where)}: {reason}")

    def forget(self, name: str, *, where: Mapping[str, Any], reason: str) -> tuple[DatasetVersion, int]:
        """Take rows with these values out of every version, history and quarantine, with their outcomes, for ever.

        Returns the version that no longer has them, and the first version that had. Their bytes are gone from the tables
        when this returns, or after the next collection where it was killed; landed files are the caller's. The values
        themselves are not written down.

        Raises:
            NotFound: no row has them, in any version or in quarantine.
        """
        first = 0

        def do(work: Work) -> None:
            nonlocal first
            now = self._current(work, "rows").filter(_matches(work.pin, where)).collect()
            past = self._left(work, "rows").filter(_matches(work.pin, where)).collect()
            bad = self._bad(work, where, pl.concat([now.select(work.pin.key), past.select(work.pin.key)]))
            if now.is_empty() and past.is_empty() and bad.is_empty():
                raise _nobody(name, where)
            first = min([*now["_version"], *past["_version"], work.number])
            keys = pl.concat([now.select(work.pin.key), past.select(work.pin.key)]).unique()
            left = self._current(work, "rows").join(keys.lazy(), on=keys.columns, how="anti")
            # The commonest values that rules remember may be those of somebody.
            work.commit.summary = renewed(work.commit.summary, left)
            known_gone = self._erase(work, keys, bad)
            work.commit.forgotten = work.number
            live = _live(work.pin, now)
            work.says = {
                "rows": work.last.rows - live.height,
                "outcomes_known": work.last.outcomes_known - known_gone - _in_row(work.pin, live),
                "removed": live.height,
            }

        version = self._commit(name, do, why=f"forgot rows by {', '.join(where)}: {reason}")
        with self._ingestion.lease(name) as lease:
            # Somebody may have committed since: what is the newest now has to stay.
            newest = self._work(name, lease).last
            self._remove_files([newest], dry_run=False)
            self._trim([newest])
        return version, first

    def collect(self, name: str, *, keep: Collection[int], dry_run: bool) -> Collected:
        """Remove what only versions outside `keep` need; the newest and those of the last hour are always kept.

        Whoever chose what to keep need not know of versions that were made since.

        Raises:
            NotFound: the dataset does not exist.
        """
        with self._ingestion.lease(name) as lease:
            work = self._work(name, lease)
            recent = self._recent(work)
            kept = {*keep, *(one.version for one in recent)}
            pruned = {part: to_prune(self._spans(work, part), kept) for part in _PARTS}
            forms = sum(
                self._prune(work, part, pairs, dry_run=dry_run) for part, (pairs, _) in pruned.items()
            )
            lost = merged(span for _, ranges in pruned.values() for span in ranges)
            last = work.last
            if forms and not dry_run:
                work.commit.collected = tuple(merged([*work.commit.collected, *lost]))
                last = msgspec.structs.replace(work.last, **tables_of(name, work.commit))
                self._rewrite(work, last)
            recent = [last, *recent[1:]]
            files = self._remove_files(recent, dry_run=dry_run)
            if not dry_run:
                self._trim(recent)
        return Collected(dataset=name, versions=tuple(lost), forms=forms, files=tuple(files))

    def _commit(self, name: str, do: Callable[[Work], None], *, why: str) -> DatasetVersion:
        with self._ingestion.lease(name) as lease:
            work = self._work(name, lease)
            do(work)
            number, at = self._ingestion.next_version(work.last)
            version = msgspec.structs.replace(
                work.last,
                version=number,
                created_at=at,
                **dict.fromkeys(_COUNTS, 0),
                files=(),
                problems=(),
                **tables_of(name, work.commit),
                why=why,
                parents=(work.last.ref,),
            )
            version = msgspec.structs.replace(version, **work.says)
            with self._ledger.write() as connection:
                lease.check(connection)
                stored.write_version(connection, version)
                stored.write_pin(connection, self._pin(work))
        return version

    def _work(self, name: str, lease: Lease) -> Work:
        with self._ledger.read() as connection:
            state = read_state(connection, name)
        if state.pin is None or state.last is None:
            msg = f"Dataset {name!r} has no version yet. Read its source with: treadle ingest {name}"
            raise NotFound(msg)
        commit = Commit.after(state)
        number, _ = self._ingestion.next_version(state.last)
        return Work(name, state, state.pin, state.last, commit, Writer(self._tables, commit), lease, number)

    def _pin(self, work: Work) -> Pin:
        commit = work.commit
        return msgspec.structs.replace(
            work.pin,
            compacted=dict(commit.compacted),
            columns=dict(commit.columns),
            collected=commit.collected,
            forgotten=commit.forgotten,
            summary=commit.summary,
        )

    def _rewrite(self, work: Work, last: DatasetVersion) -> None:
        """Name new versions of the tables in the newest version's record: what it holds is the same."""
        with self._ledger.write() as connection:
            work.lease.check(connection)
            stored.replace_version(connection, last)
            stored.write_pin(connection, self._pin(work))

    def _roll_part(self, work: Work, part: PartName, to: int) -> int:
        """Bring a part's current forms back to those of a version; return how many leave."""
        if known(work.last, part)[0] is None:
            return 0
        table = table_name(work.name, part)
        gone = self._current(work, part).filter(pl.col("_version") > to).collect()
        back = self._left(work, part).filter((pl.col("_version") <= to) & (pl.col(UNTIL) > to)).collect()
        if gone.height:
            work.writer.move(table, gone, by=work.pin.key, until=work.number)
        if back.height:
            again = back.drop(UNTIL).with_columns(pl.lit(work.number, dtype=pl.Int64).alias("_version"))
            work.writer.append(table, again)
        return gone.height

    def _leave_with(self, work: Work, keys: pl.DataFrame) -> int:
        """Move the outcomes of some keys to the history; return how many there were."""
        if known(work.last, "outcomes")[0] is None:
            return 0
        gone = self._current(work, "outcomes").join(keys.lazy(), on=keys.columns, how="semi").collect()
        if gone.height:
            work.writer.move(table_name(work.name, "outcomes"), gone, by=work.pin.key, until=work.number)
        return gone.height

    def _erase(self, work: Work, keys: pl.DataFrame, bad: pl.DataFrame) -> int:
        """Remove keys from every table; return how many current outcomes they had."""
        known_gone = 0
        if known(work.last, "outcomes")[0] is not None:
            outcomes = self._current(work, "outcomes").join(keys.lazy(), on=keys.columns, how="semi")
            known_gone = outcomes.select(pl.len()).collect().item()
        for part in _PARTS:
            for table in (table_name(work.name, part), table_name(work.name, part) + SUFFIX):
                if keys.height and work.commit.bases.get(table) is not None:
                    work.writer.remove(table, keys)
        if bad.height:
            work.writer.remove(table_name(work.name, "quarantine"), bad)
        return known_gone

    def _bad(self, work: Work, where: Mapping[str, Any], keys: pl.DataFrame) -> pl.DataFrame:
        """Return the places of quarantined rows that have the values, or one of the keys, as far as they can be read."""
        table = table_name(work.name, "quarantine")
        base = work.commit.bases.get(table)
        if base is None:
            return pl.DataFrame()
        with self._tables.reading(table):
            rows = self._tables.scan(table, version=base).collect()
        return matching(rows, where=where, keys=keys)

    def _current(self, work: Work, part: PartName) -> pl.LazyFrame:
        return self._tables.scan(table_name(work.name, part), version=known(work.last, part)[0])

    def _left(self, work: Work, part: PartName) -> pl.LazyFrame:
        """Return the forms that left, with `_until`; an empty frame of the same columns where none did."""
        past = known(work.last, part)[1]
        if past is None:
            return self._current(work, part).clear().with_columns(pl.lit(0, dtype=pl.Int64).alias(UNTIL))
        return self._tables.scan(table_name(work.name, part) + SUFFIX, version=past)

    def _spans(self, work: Work, part: PartName) -> list[tuple[int, int]]:
        if known(work.last, part)[1] is None:
            return []
        return self._left(work, part).select("_version", UNTIL).unique().collect().rows()

    def _prune(self, work: Work, part: PartName, pairs: list[tuple[int, int]], *, dry_run: bool) -> int:
        """Remove the forms of some spans from a part's history; return how many there are."""
        if not pairs:
            return 0
        gone = pl.DataFrame(pairs, schema={"_version": pl.Int64, UNTIL: pl.Int64}, orient="row")
        count: int = (
            self._left(work, part)
            .join(gone.lazy(), on=gone.columns, how="semi")
            .select(pl.len())
            .collect()
            .item()
        )
        if not dry_run:
            work.writer.remove(table_name(work.name, part) + SUFFIX, gone)
        return count

    def _recent(self, work: Work) -> list[DatasetVersion]:
        """Return the newest version, and those that were the newest at some moment of the last hour, since the last forgetting."""
        since = self._clock.now() - GRACE
        with self._ledger.read() as connection:
            versions = stored.read_versions(connection, work.name)
        begun = [one for one, after in pairwise(versions) if after.created_at >= since]
        return [work.last, *(one for one in begun if one.version >= work.commit.forgotten)]

    def _trim(self, kept: list[DatasetVersion]) -> None:
        """Remove the logs of what was before the oldest of these states of the tables; the first is the newest."""
        for table, base in known_versions(kept[0]).items():
            numbers = [number for one in kept if (number := known_versions(one)[table]) is not None]
            if base is not None:
                self._tables.trim(table, base=base, oldest=min(numbers))

    def _remove_files(self, kept: list[DatasetVersion], *, dry_run: bool) -> list[str]:
        """Remove the files that none of these states of the tables reads, and return their names by table."""
        removed = []
        for table in known_versions(kept[0]):
            numbers = {number for one in kept if (number := known_versions(one)[table]) is not None}
            if numbers:
                found = self._tables.vacuum(table, keep=numbers, dry_run=dry_run)
                removed += [f"{table}/{file}" for file in found]
        return removed


#: Fields of a version that count what landed with it: a commit of upkeep lands nothing.
_COUNTS = (
    "landed",
    "accepted",
    "quarantined",
    "corrected",
    "deleted",
    "repeated",
    "outdated",
    "outcomes",
    "outcomes_quarantined",
    "outcomes_repeated",
    "outcomes_corrected",
    "readmitted",
    "removed",
)


def _matches(pin: Pin, where: Mapping[str, Any]) -> pl.Expr:
    """Return the test that a row has all these values.

    Raises:
        InvalidInput: a column does not exist, or nothing is named.
    """
    names = pin.contracts["rows"].names
    if not where:
        msg = "No column is named. Say which rows, as where={'flight_id': 'UA1'}."
        raise InvalidInput(msg)
    tests = []
    for name, value in where.items():
        if name not in names:
            msg = f"Dataset {pin.name!r} has no column {name!r}. {closest(name, names)}"
            raise InvalidInput(msg, field=name)
        wanted = list(value) if isinstance(value, list | tuple | set) else [value]
        values = _cells(wanted, pin.contracts["rows"].column(name).kind, name=name)
        tests.append(pl.col(name).is_in(values.implode()))
    return pl.all_horizontal(tests)


def _cells(wanted: list[Any], kind: Kind, *, name: str) -> pl.Series:
    """Return values as cells of a column; text is read as CSV is."""
    try:
        if all(isinstance(value, str) for value in wanted):
            cells = convert(pl.Series(wanted, dtype=pl.String), kind, form="text")
        else:
            cells = pl.Series(wanted, dtype=DTYPES[kind], strict=True)
    except (TypeError, pl.exceptions.PolarsError):
        cells = pl.Series([None], dtype=DTYPES[kind])
    if cells.null_count():
        msg = f"{name!r} is {kind}, and {wanted[0] if len(wanted) == 1 else wanted!r} is not. Give values of that type."
        raise InvalidInput(msg, field=name)
    return cells


def _live(pin: Pin, rows: pl.DataFrame) -> pl.DataFrame:
    if pin.deleted is None or pin.deleted not in rows.columns:
        return rows
    return rows.filter(is_live(pin.deleted, rows.schema[pin.deleted]))


def _in_row(pin: Pin, rows: pl.DataFrame) -> int:
    """Return how many of the rows have their outcome in them."""
    if not pin.outcome or pin.outcome not in rows.columns:
        return 0
    return rows.height - rows[pin.outcome].null_count()


def _told(where: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in where.items())


def _nobody(name: str, where: Mapping[str, Any]) -> NotFound:
    return NotFound(f"No row of dataset {name!r} has {_told(where)}. Nothing was changed.")
