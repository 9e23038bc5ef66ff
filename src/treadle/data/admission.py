"""Re-admission: rows that were quarantined, mended and checked again, become rows of a new version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import polars as pl

from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import DatasetVersion, Record
from treadle.data import state as stored
from treadle.data.checks import check
from treadle.data.commits import Commit, table_name, version_of
from treadle.data.declarations import Dataset, Part
from treadle.data.ingest import Ingestion, pin_of
from treadle.data.keys import Told, tell_apart
from treadle.data.landing import Landed
from treadle.data.quarantine import QUARANTINE
from treadle.data.quarantined import PLACE
from treadle.data.readmission import Mend, readmissions
from treadle.data.state import State
from treadle.data.writing import Writer
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

_MOST_REASONS = 10


class Readmitted(Record, frozen=True, kw_only=True):
    """What became of quarantined rows that were checked again."""

    dataset: str
    #: The version that has them now; None: none was good.
    version: int | None
    #: Rows that were asked for, and of them: now in the dataset, there already with the same values, and still bad.
    asked: int
    accepted: int
    repeated: int
    bad: int
    #: Of the bad ones: each reason once, at most ten.
    reasons: tuple[str, ...] = ()


class Admission:
    """Checks quarantined rows again, and lets the good ones in.

    >>> admission.readmit(flights, mend={"origin": "EWR"}, reason="a typo")               # doctest: +SKIP
    """

    def __init__(self, *, ledger: Ledger, tables: Tables, clock: Clock, root: Path) -> None:
        self._ledger, self._tables = ledger, tables
        self._ingestion = Ingestion(ledger=ledger, tables=tables, clock=clock, root=root)

    def readmit(
        self,
        dataset: Dataset,
        *,
        where: pl.Expr | None = None,
        mend: Mend | None = None,
        reason: str,
        actor: str = "",
    ) -> Readmitted:
        """Check rows of the quarantine again, mended, and move the good ones into a new version.

        They are checked against the contract as it is declared now. `where` is a test of the columns of
        `Datasets.quarantine` (None: all of them); `mend` replaces cells first: a function of all cells of one file, or an
        expression or value for each column. What is still bad stays in quarantine as it was.

        Raises:
            NotFound: no quarantined row passes `where`.
            InvalidInput: `where` or the mend cannot be computed.
        """
        name = dataset.name
        with self._ingestion.lease(name) as lease:
            state = self._ingestion.state(name)
            waiting = self._waiting(dataset, state, where)
            commit = Commit.after(state)
            for part_name, part in dataset.parts().items():
                if part.contract is not None:
                    commit.contracts[part_name] = part.contract.spec()
            done, reasons = self._check(dataset, waiting, state=state, commit=commit, mend=mend)
            accepted = sum(told.written.height for told in commit.told.values())
            repeated = done.height - accepted
            if done.height:
                number, at = self._ingestion.next_version(state.last)
                writer = Writer(self._tables, commit)
                written = state.last.written if state.last else 0
                writer.write(dataset, number=number, at=at, written=written)
                writer.remove(table_name(name, "quarantine"), done)
                made = version_of(dataset, last=state.last, commit=commit, number=number, at=at)
                made = msgspec.structs.replace(
                    made, landed=0, accepted=0, readmitted=accepted, why=f"readmitted: {reason}", actor=actor
                )
                with self._ledger.write() as connection:
                    lease.check(connection)
                    stored.write_version(connection, made)
                    stored.write_pin(connection, pin_of(dataset, commit))
        return Readmitted(
            dataset=name,
            version=made.version if done.height else None,
            asked=waiting.height,
            accepted=accepted,
            repeated=repeated,
            bad=waiting.height - done.height,
            reasons=reasons,
        )

    def _waiting(self, dataset: Dataset, state: State, where: pl.Expr | None) -> pl.DataFrame:
        table = table_name(dataset.name, "quarantine")
        last: DatasetVersion | None = state.last
        if last is None or last.quarantine_table_version is None:
            raise _nobody(dataset.name)
        with self._tables.reading(table):
            rows = self._tables.scan(table, version=last.quarantine_table_version).collect()
        try:
            rows = rows if where is None else rows.filter(where)
        except pl.exceptions.PolarsError as error:
            told = str(error).partition("\n")[0]
            msg = f"The rows to readmit cannot be chosen: {told}. Quarantined rows have: {', '.join(rows.columns)}."
            raise InvalidInput(msg, field="where") from error
        if rows.is_empty():
            raise _nobody(dataset.name)
        return rows

    def _check(
        self, dataset: Dataset, waiting: pl.DataFrame, *, state: State, commit: Commit, mend: Mend | None
    ) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Fill the commit with the good rows; return the places that leave quarantine, and why others stay."""
        places = [waiting.select(PLACE).clear()]
        bad = [pl.DataFrame(schema=QUARANTINE)]
        known = {name: part for name, part in dataset.parts().items() if name in commit.contracts}
        found = readmissions(
            waiting.filter(pl.col("_part").is_in(list(known))), specs=commit.contracts, mend=mend
        )
        for name, part in known.items():
            spec = commit.contracts[name]
            good = []
            for one in (one for one in found if one.part == name):
                checked = check(one.raw, spec, rules=part.rules(), needed=part.needed)
                bad.append(checked.bad)
                good.append(checked.good.with_columns(pl.lit(one.version, dtype=pl.Int64).alias("_was")))
            if not good:
                continue
            rows = pl.concat(good)
            told = self._tell_apart(dataset, part, rows.drop("_was"), state=state)
            bad.append(told.clashing)
            left = rows.join(told.clashing, on=["_file", "_row"], how="anti")
            places.append(
                left.select(pl.col("_was").alias("_version"), pl.lit(name).alias("_part"), "_file", "_row")
            )
            commit.told[name] = replace(told, clashing=told.clashing.clear())
            commit.landed[name] = Landed(spec, rows, pl.DataFrame(schema=QUARANTINE))
        reasons = pl.concat(bad)["_reason"].unique(maintain_order=True).head(_MOST_REASONS).to_list()
        return pl.concat(places), tuple(reasons)

    def _tell_apart(self, dataset: Dataset, part: Part, rows: pl.DataFrame, *, state: State) -> Told:
        return tell_apart(
            rows,
            key=dataset.key_columns,
            updated=part.updated,
            passed_over=part.passed_over,
            stored=lambda keys: self._ingestion.holders(dataset, part.name, keys, state=state),
        )


def _nobody(name: str) -> NotFound:
    return NotFound(
        f"No quarantined row of dataset {name!r} is asked for. See: treadle datasets quarantine {name}"
    )
