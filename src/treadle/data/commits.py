"""One commit to a dataset: what is about to count, Treadle's own columns of its rows, and the record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from treadle.core.records import DatasetVersion
from treadle.data.contracts import ContractSpec
from treadle.data.declarations import Dataset
from treadle.data.keys import Told
from treadle.data.landing import Landed
from treadle.data.pins import Pin
from treadle.data.splits import assign
from treadle.data.state import State
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
    """What one ingestion is about to make count."""

    #: By table: the version that the ledger knows; None: there is no such table.
    bases: dict[str, int | None]
    #: By table: the version when its small files were last joined.
    compacted: dict[str, int]
    #: By table: its columns, in order.
    columns: dict[str, tuple[str, ...]]
    told: dict[str, Told] = field(default_factory=dict)
    landed: dict[str, Landed] = field(default_factory=dict)
    contracts: dict[str, ContractSpec] = field(default_factory=dict)

    @classmethod
    def after(cls, state: State) -> Commit:
        """Begin the commit that follows a state."""
        pin = state.pin or Pin(name="", key=())
        return cls(
            bases=known_versions(state.last) if state.last else {},
            compacted=dict(pin.compacted),
            columns=dict(pin.columns),
            contracts=dict(pin.contracts),
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
        return not any(told.fresh.height or self.rejected(part) for part, told in self.told.items())


def table_name(dataset: str, part: str) -> str:
    """Return the name of the table that holds a part of a dataset."""
    return f"{dataset}/{part}"


def known_versions(last: DatasetVersion) -> dict[str, int | None]:
    """Return by table the version that the ledger knows."""
    return {
        table_name(last.dataset, "rows"): last.table_version,
        table_name(last.dataset, "outcomes"): last.outcome_table_version,
        table_name(last.dataset, "quarantine"): last.quarantine_table_version,
    }


def with_system_columns(
    rows: pl.DataFrame, dataset: Dataset, *, part: str, number: int, at: datetime
) -> pl.DataFrame:
    """Return the rows of a part with Treadle's own columns, as they are stored."""
    stamps = (pl.lit(number, dtype=pl.Int64).alias("_version"), pl.lit(at).alias("_ingested_at"))
    values = [name for name in rows.columns if not name.startswith("_")]
    if part != "rows":
        return rows.select(*values, *stamps, "_file", "_row")
    split = dataset.split_spec
    empty = rows.with_columns(
        pl.lit(None, dtype=pl.Int16).alias("_bucket"), pl.lit(None, dtype=pl.String).alias("_split")
    )
    sided = assign(rows, split) if split else empty
    return sided.select(*values, "_bucket", "_split", *stamps, "_file", "_row")


def version_of(
    dataset: Dataset,
    *,
    last: DatasetVersion | None,
    commit: Commit,
    number: int,
    at: datetime,
    written: Mapping[str, int],
) -> DatasetVersion:
    """Return the record of a commit; `written` is by part the table version that now holds it."""
    told = commit.told.get("rows")
    rows = told.fresh if told else pl.DataFrame()
    later = commit.told.get("outcomes")
    known = later.fresh.height if later else _in_row(rows, dataset.outcome)
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
        repeated=told.repeated if told else 0,
        outcomes=known,
        outcomes_quarantined=commit.rejected("outcomes"),
        outcomes_repeated=later.repeated if later else 0,
        rows=before.rows + rows.height,
        outcomes_known=before.outcomes_known + known,
        table_version=written.get("rows", before.table_version),
        outcome_table_version=written.get("outcomes", before.outcome_table_version),
        quarantine_table_version=written.get("quarantine", before.quarantine_table_version),
        contract=contract.digest,
        schema=contract.schema if "rows" in written else before.schema,
        split=dataset.split_spec,
        time_min=earliest,
        time_max=latest,
        files=tuple(
            file.path for landed in commit.landed.values() for file in landed.files if file.status == "read"
        ),
        problems=tuple(problem for landed in commit.landed.values() for problem in landed.problems),
        parents=(last.ref,) if last else (),
    )


def _in_row(rows: pl.DataFrame, outcome: str | None) -> int:
    """Return how many rows bring their outcome."""
    return rows.height - rows[outcome].null_count() if outcome and rows.height else 0


def _range(
    rows: pl.DataFrame, time: str | None, last: DatasetVersion | None
) -> tuple[datetime | None, datetime | None]:
    """Return the earliest and the latest event time of all accepted rows."""
    known = [last.time_min, last.time_max] if last else []
    if time and rows.height:
        known += rows.select(pl.col(time).min().alias("min"), pl.col(time).max().alias("max")).row(0)
    moments = [one for one in known if one is not None]
    return (min(moments), max(moments)) if moments else (None, None)
