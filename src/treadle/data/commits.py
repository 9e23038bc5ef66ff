"""One commit to a dataset: what is about to count, Treadle's own columns of its rows, and the record of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from treadle.core.records import DatasetVersion
from treadle.data.contracts import ContractSpec
from treadle.data.declarations import Dataset
from treadle.data.history import is_live
from treadle.data.keyindex import Fingerprints
from treadle.data.keys import Told
from treadle.data.landing import Landed
from treadle.data.pins import Pin
from treadle.data.splits import assign
from treadle.data.state import State
from treadle.data.summaries import Summary
from treadle.store.ledger.tables import moment

_BEFORE = DatasetVersion(
    dataset="",
    version=0,
    created_at=moment(0),
    landed=0,
    accepted=0,
    quarantined=0,
    rows=0,
    table_version=-1,
    contract="",
    schema=(),
)


@dataclass
class Commit:
    """What is about to be made count, and the tables as they are while it is written."""

    #: By table: the version that the ledger knows, then the one that was written; None: there is no such table.
    bases: dict[str, int | None]
    #: By table: the version when its small files were last joined.
    compacted: dict[str, int]
    #: By table: its columns, in order.
    columns: dict[str, tuple[str, ...]]
    told: dict[str, Told] = field(default_factory=dict)
    landed: dict[str, Landed] = field(default_factory=dict)
    contracts: dict[str, ContractSpec] = field(default_factory=dict)
    #: By part: the fingerprints of all keys that are about to be there.
    prints: dict[str, Fingerprints] = field(default_factory=dict)
    collected: tuple[tuple[int, int], ...] = ()
    forgotten: int = 0
    summary: Summary = field(default_factory=Summary)
    #: What rules that only warn say of the new rows.
    warnings: tuple[str, ...] = ()

    @classmethod
    def after(cls, state: State) -> Commit:
        """Begin the commit that follows a state."""
        pin = state.pin or Pin(name="", key=())
        return cls(
            bases=known_versions(state.last) if state.last else {},
            compacted=dict(pin.compacted),
            columns=dict(pin.columns),
            contracts=dict(pin.contracts),
            collected=pin.collected,
            forgotten=pin.forgotten,
            summary=pin.summary,
        )

    @property
    def bad(self) -> pl.DataFrame:
        """All rows that go to quarantine, with `_part`."""
        return pl.concat(
            pl.concat([self.landed[part].bad, told.clashing]).with_columns(pl.lit(part).alias("_part"))
            for part, told in self.told.items()
        )

    def rejected(self, part: str) -> int:
        """Return how many rows of a part go to quarantine."""
        return self.landed[part].bad.height + self.told[part].clashing.height if part in self.told else 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no row to commit."""
        return not any(not told.is_empty or self.rejected(part) for part, told in self.told.items())


def table_name(dataset: str, part: str) -> str:
    """Return the name of the table that holds a part of a dataset."""
    return f"{dataset}/{part}"


def known_versions(last: DatasetVersion) -> dict[str, int | None]:
    """Return by table the version that the ledger knows."""
    return {
        table_name(last.dataset, "rows"): last.table_version,
        table_name(last.dataset, "outcomes"): last.outcome_table_version,
        table_name(last.dataset, "quarantine"): last.quarantine_table_version,
        table_name(last.dataset, "rows_history"): last.history_table_version,
        table_name(last.dataset, "outcomes_history"): last.outcome_history_table_version,
    }


def with_system_columns(
    told: Told, dataset: Dataset, *, part: str, number: int, at: datetime, written: int
) -> pl.DataFrame:
    """Return the rows of a part with Treadle's own columns, as they are stored; a corrected row keeps its split.

    `_seq` counts the forms of rows in the order in which they landed; `written` is how many there are.
    """
    rows = told.written
    stamps = (pl.lit(number, dtype=pl.Int64).alias("_version"), pl.lit(at).alias("_ingested_at"))
    values = [name for name in rows.columns if not name.startswith("_")]
    if part != "rows":
        return rows.select(*values, *stamps, "_file", "_row")
    order = pl.int_range(written, written + rows.height, dtype=pl.Int64, eager=True).alias("_seq")
    return _sided(told, dataset).select(*values, "_bucket", "_split", order, *stamps, "_file", "_row")


def _sided(told: Told, dataset: Dataset) -> pl.DataFrame:
    """Return the rows with bucket and split: by the hash where the key is new, as they were where it is not."""
    split = dataset.split_spec
    if split is None:
        return told.written.with_columns(
            pl.lit(None, dtype=pl.Int16).alias("_bucket"), pl.lit(None, dtype=pl.String).alias("_split")
        )
    fresh = assign(told.fresh, split)
    if told.replacing.is_empty():
        return fresh
    was = told.replaced.select(*dataset.key_columns, "_bucket", "_split")
    kept = told.replacing.join(was, on=list(dataset.key_columns), how="left", maintain_order="left")
    return pl.concat([fresh, kept.cast({"_bucket": fresh.schema["_bucket"]})])


def version_of(
    dataset: Dataset,
    *,
    last: DatasetVersion | None,
    commit: Commit,
    number: int,
    at: datetime,
) -> DatasetVersion:
    """Return the record of a commit whose tables are written."""
    told = commit.told.get("rows")
    rows = told.written if told else pl.DataFrame()
    later = commit.told.get("outcomes")
    gone = _gone(rows, dataset)
    known = later.fresh.height if later else _in_row(told.fresh if told else rows, dataset.outcome)
    earliest, latest = _range(rows, dataset.time, last)
    contract = commit.contracts["rows"]
    before = last or _BEFORE
    return DatasetVersion(
        dataset=dataset.name,
        version=number,
        created_at=at,
        landed=rows.height + commit.rejected("rows"),
        accepted=rows.height,
        quarantined=commit.rejected("rows"),
        corrected=told.replacing.height if told else 0,
        deleted=gone,
        repeated=told.repeated if told else 0,
        outdated=told.outdated if told else 0,
        outcomes=known,
        outcomes_quarantined=commit.rejected("outcomes"),
        outcomes_repeated=later.repeated if later else 0,
        outcomes_corrected=later.replacing.height if later else 0,
        rows=before.rows + rows.height - gone - _live(told.replaced if told else rows, dataset),
        written=before.written + rows.height,
        outcomes_known=before.outcomes_known + known,
        outcomes_at=at if known or (later and later.replacing.height) else _outcomes_at(before),
        **tables_of(dataset.name, commit),
        contract=contract.digest,
        schema=_schema(commit, contract, before, dataset.name),
        split=dataset.split_spec,
        time_min=earliest,
        time_max=latest,
        files=tuple(
            file.path for landed in commit.landed.values() for file in landed.files if file.status == "read"
        ),
        problems=(
            *(problem for landed in commit.landed.values() for problem in landed.problems),
            *commit.warnings,
        ),
        parents=(last.ref,) if last else (),
    )


def _outcomes_at(before: DatasetVersion) -> datetime | None:
    """Return when an outcome became known last; a version from before that was kept says it at the latest."""
    return before.outcomes_at or (before.created_at if before.outcomes_known else None)


def tables_of(name: str, commit: Commit) -> dict[str, Any]:
    """Return the fields of a version that say which versions of its tables hold it."""
    found = {
        "table_version": "rows",
        "outcome_table_version": "outcomes",
        "quarantine_table_version": "quarantine",
        "history_table_version": "rows_history",
        "outcome_history_table_version": "outcomes_history",
    }
    return {field: commit.bases.get(table_name(name, part)) for field, part in found.items()}


def _schema(
    commit: Commit, contract: ContractSpec, before: DatasetVersion, name: str
) -> tuple[tuple[str, str], ...]:
    """Return the columns of the rows: those of the contract once their table has them."""
    there = commit.columns.get(table_name(name, "rows"), ())
    return contract.schema if set(contract.names) <= set(there) else before.schema


def _in_row(rows: pl.DataFrame, outcome: str | None) -> int:
    """Return how many rows bring their outcome."""
    return rows.height - rows[outcome].null_count() if outcome and rows.height else 0


def _gone(rows: pl.DataFrame, dataset: Dataset) -> int:
    """Return how many rows say that the row of their key is gone."""
    return rows.height - _live(rows, dataset)


def _live(rows: pl.DataFrame, dataset: Dataset) -> int:
    return live_rows(rows, dataset).height


def live_rows(rows: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """Return the rows that do not say that the row of their key is gone."""
    if dataset.deleted is None or dataset.deleted not in rows.columns:
        return rows
    return rows.filter(is_live(dataset.deleted, rows.schema[dataset.deleted]))


def _range(
    rows: pl.DataFrame, time: str | None, last: DatasetVersion | None
) -> tuple[datetime | None, datetime | None]:
    """Return the earliest and the latest event time of all accepted rows."""
    known = [last.time_min, last.time_max] if last else []
    if time and rows.height:
        known += rows.select(pl.col(time).min().alias("min"), pl.col(time).max().alias("max")).row(0)
    moments = [one for one in known if one is not None]
    return (min(moments), max(moments)) if moments else (None, None)
