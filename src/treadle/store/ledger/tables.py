"""The relations of the ledger, as SQLAlchemy Core tables.

Each table has the columns that are searched, and most have `body`: the JSON text of the record itself
(`core.records.to_json`). Moments are whole microseconds since 1970-01-01T00:00Z, the same on every back end:
write them with `micros`, read them with `moment`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _key(name: str, kind: type[Text | Integer | BigInteger] = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _held(name: str, kind: type[Text | Integer | BigInteger | Boolean] = Text) -> Column[Any]:
    return Column(name, kind, nullable=False)


#: What is pinned for ever about a dataset: split, key, time, contract digest, schema.
datasets = Table("datasets", metadata, _key("name"), _held("body"))

#: Commits to datasets (`DatasetVersion`).
dataset_versions = Table(
    "dataset_versions",
    metadata,
    _key("dataset"),
    _key("version", Integer),
    _held("created_at", BigInteger),
    _held("body"),
)

#: Source files that were read, or could not be; `part` is `rows` or `outcomes`.
ingested_files = Table(
    "ingested_files",
    metadata,
    _key("dataset"),
    _key("part"),
    _key("path"),
    _key("fingerprint"),
    Column("version", Integer),
    _held("rows", BigInteger),
    _held("status"),
    _held("reason"),
    _held("at", BigInteger),
    Index("ix_ingested_files_dataset_version", "dataset", "version"),
)

#: Names that people gave to dataset versions (`Tag`).
dataset_tags = Table(
    "dataset_tags", metadata, _key("dataset"), _key("tag"), _held("version", Integer), _held("body")
)

#: How far a source that is read in order has been read; `part` is `rows` or `outcomes`.
source_positions = Table("source_positions", metadata, _key("dataset"), _key("part"), _held("body"))

#: Immutable states of trees of files; `digest` is the object that lists the files.
tree_versions = Table(
    "tree_versions",
    metadata,
    _key("tree"),
    _key("version", Integer),
    _held("digest"),
    _held("created_at", BigInteger),
    _held("body"),
)

#: How far each feature view has been written to an online store.
materialisations = Table(
    "materialisations", metadata, _key("view"), _key("store"), _held("at", BigInteger), _held("body")
)

#: Results of finished steps under the hash that finds them again (`StepResult`).
steps = Table(
    "steps",
    metadata,
    _key("key"),
    _held("step"),
    _held("run"),
    _held("finished_at", BigInteger),
    _held("body"),
    Index("ix_steps_run", "run"),
)

#: Executions of models' pipelines (`Run`).
runs = Table(
    "runs",
    metadata,
    _key("id"),
    _held("model"),
    _held("status"),
    _held("started_at", BigInteger),
    _held("body"),
    Index("ix_runs_model_started_at", "model", "started_at"),
    Index("ix_runs_status", "status"),
)

#: Metrics and plain parameters of runs that have ended, as `metrics.log_loss` and `params.depth`, to find runs by.
run_values = Table(
    "run_values",
    metadata,
    _key("run"),
    _key("name"),
    Column("number", Double),
    Column("text", Text),
    Index("ix_run_values_name_number", "name", "number"),
    Index("ix_run_values_name_text", "name", "text"),
)

#: Sets of hyper-parameters tried in a run (`Trial`); `change` only grows within a run, with each change of a row.
trials = Table(
    "trials",
    metadata,
    _key("run"),
    _key("number", Integer),
    _held("state"),
    _held("change", BigInteger),
    _held("body"),
    Index("ix_trials_run_change", "run", "change"),
)

#: Saved training states of a run or a trial, by number; `digest` is an object.
checkpoints = Table(
    "checkpoints",
    metadata,
    _key("run"),
    _key("number", Integer),
    _held("digest"),
    _held("at", BigInteger),
)

#: Immutable packages made by runs (`ModelVersion`); a run makes at most one.
model_versions = Table(
    "model_versions",
    metadata,
    _key("model"),
    _key("version", Integer),
    _held("digest"),
    _held("run"),
    _held("created_at", BigInteger),
    _held("body"),
    UniqueConstraint("run"),
)

#: Where each alias points now (`Alias`).
aliases = Table("aliases", metadata, _key("model"), _key("alias"), _held("version", Integer), _held("body"))

#: Every move of an alias (`Alias`).
alias_history = Table(
    "alias_history",
    metadata,
    _key("id"),
    _held("model"),
    _held("alias"),
    _held("at", BigInteger),
    _held("body"),
    Index("ix_alias_history_model_alias_at", "model", "alias", "at"),
)

#: Versions that waited for a person, and what was decided (`Approval`).
approvals = Table(
    "approvals",
    metadata,
    _key("model"),
    _key("version", Integer),
    _held("state"),
    _held("asked_at", BigInteger),
    _held("body"),
    Index("ix_approvals_state", "state"),
)

#: What gates said (`Verdict`).
verdicts = Table(
    "verdicts",
    metadata,
    _key("id"),
    _held("model"),
    _held("run"),
    _held("created_at", BigInteger),
    _held("body"),
    Index("ix_verdicts_model_created_at", "model", "created_at"),
    Index("ix_verdicts_run", "run"),
)

#: Immutable states of endpoints (`Revision`).
revisions = Table(
    "revisions",
    metadata,
    _key("endpoint"),
    _key("revision", Integer),
    _held("created_at", BigInteger),
    _held("body"),
)

#: Ways of versions to all of the traffic, or back (`RolloutState`).
rollouts = Table(
    "rollouts",
    metadata,
    _key("id"),
    _held("endpoint"),
    _held("status"),
    _held("started_at", BigInteger),
    _held("body"),
    Index("ix_rollouts_endpoint_started_at", "endpoint", "started_at"),
    Index("ix_rollouts_status", "status"),
)

#: What servers have counted of each variant while a rollout runs (`Reported`); gone when it ends.
tallies = Table(
    "tallies",
    metadata,
    _key("server"),
    _key("endpoint"),
    _key("revision", Integer),
    _held("at", BigInteger),
    _held("body"),
)

#: What each server process has loaded (`ServerState`).
servers = Table(
    "servers",
    metadata,
    _key("server"),
    _key("endpoint"),
    _held("revision", Integer),
    _held("at", BigInteger),
    _held("body"),
)

#: Whether models were due, and why (`Decision`).
decisions = Table(
    "decisions",
    metadata,
    _key("id"),
    _held("model"),
    _held("at", BigInteger),
    _held("due", Boolean),
    _held("body"),
    Index("ix_decisions_model_at", "model", "at"),
)

#: Wishes of people and programs that a model be trained (`Request`); `run` is what was started for it, empty while it waits.
requests = Table(
    "requests",
    metadata,
    _key("id"),
    _held("model"),
    _held("at", BigInteger),
    _held("run"),
    _held("body"),
    Index("ix_requests_run", "run"),
    Index("ix_requests_model_at", "model", "at"),
)

#: Messages to people (`Alert`); `open` until what they say no longer holds.
alerts = Table(
    "alerts",
    metadata,
    _key("id"),
    _held("rule"),
    _held("subject"),
    _held("at", BigInteger),
    _held("open", Boolean),
    _held("body"),
    Index("ix_alerts_rule_subject_at", "rule", "subject", "at"),
)

#: What trackers elsewhere were told (`Sent`): `mirror` is the tracker's address, `subject` a reference.
mirrored = Table(
    "mirrored",
    metadata,
    _key("mirror"),
    _key("subject"),
    _held("state"),
    _held("at", BigInteger),
    _held("body"),
)

#: Predictions that callers do not wait for (`Job`). `due`: when its web hook is tried next; 0: there is nothing to deliver.
jobs = Table(
    "jobs",
    metadata,
    _key("id"),
    _held("endpoint"),
    _held("state"),
    _held("created_at", BigInteger),
    _held("due", BigInteger),
    _held("body"),
    Index("ix_jobs_state_created_at", "state", "created_at"),
    Index("ix_jobs_endpoint_created_at", "endpoint", "created_at"),
    Index("ix_jobs_due", "due"),
)

#: Who works on what now; the token of a name only grows.
leases = Table(
    "leases",
    metadata,
    _key("name"),
    _held("holder"),
    _held("token", BigInteger),
    _held("expires_at", BigInteger),
)


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970; one without a zone is taken to be UTC.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (aware - _EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime:
    """Return the UTC moment that `micros` wrote.

    >>> moment(86400000000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return _EPOCH + timedelta(microseconds=value)


def put(connection: Connection, table: Table, **row: Any) -> None:
    """Insert a row, or replace the columns of the row that has its primary key already."""
    put_all(connection, table, [row])


def put_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that have the same columns, or replace those that have their primary keys already."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if changed:
        chosen = statement.on_conflict_do_update(index_elements=keys, set_=changed)
    else:
        chosen = statement.on_conflict_do_nothing()
    connection.execute(chosen, [dict(row) for row in rows])
