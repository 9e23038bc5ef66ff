"""The relations of the ledger, as SQLAlchemy Core tables.

Each table has the columns that are searched, and most have `body`: the JSON text of the record itself
(`core.records.to_json`). Moments are whole microseconds since 1970-01-01T00:00Z, the same on every back end:
write them with `micros`, read them with `moment`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, Table, Text, UniqueConstraint

from treadle.store.ledger.columns import held, key
from treadle.store.ledger.columns import metadata as metadata
from treadle.store.ledger.columns import micros as micros
from treadle.store.ledger.columns import moment as moment
from treadle.store.ledger.columns import put as put
from treadle.store.ledger.columns import put_all as put_all
from treadle.store.ledger.performances import performance_parts as performance_parts
from treadle.store.ledger.performances import performance_views as performance_views
from treadle.store.ledger.promises import served_counts as served_counts
from treadle.store.ledger.promises import slo_courses as slo_courses
from treadle.store.ledger.team import sessions as sessions
from treadle.store.ledger.team import team_events as team_events
from treadle.store.ledger.team import user_tokens as user_tokens
from treadle.store.ledger.team import users as users
from treadle.store.ledger.telling import deliveries as deliveries
from treadle.store.ledger.telling import sightings as sightings
from treadle.store.ledger.telling import silences as silences

#: What is pinned for ever about a dataset: split, key, time, contract digest, schema.
datasets = Table("datasets", metadata, key("name"), held("body"))

#: Commits to datasets (`DatasetVersion`).
dataset_versions = Table(
    "dataset_versions",
    metadata,
    key("dataset"),
    key("version", Integer),
    held("created_at", BigInteger),
    #: Why a person made it; empty: rows landed.
    Column("why", Text, nullable=False, server_default=""),
    held("body"),
    Index("ix_dataset_versions_why_created_at", "why", "created_at"),
)

#: Source files that were read, or could not be; `part` is `rows` or `outcomes`.
ingested_files = Table(
    "ingested_files",
    metadata,
    key("dataset"),
    key("part"),
    key("path"),
    key("fingerprint"),
    Column("version", Integer),
    held("rows", BigInteger),
    held("status"),
    held("reason"),
    held("at", BigInteger),
    Index("ix_ingested_files_dataset_version", "dataset", "version"),
)

#: Names that people gave to dataset versions (`Tag`).
dataset_tags = Table(
    "dataset_tags", metadata, key("dataset"), key("tag"), held("version", Integer), held("body")
)

#: How far a source that is read in order has been read; `part` is `rows` or `outcomes`.
source_positions = Table("source_positions", metadata, key("dataset"), key("part"), held("body"))

#: Immutable states of trees of files; `digest` is the object that lists the files.
tree_versions = Table(
    "tree_versions",
    metadata,
    key("tree"),
    key("version", Integer),
    held("digest"),
    held("created_at", BigInteger),
    held("body"),
)

#: How far each feature view has been written to an online store.
materialisations = Table(
    "materialisations", metadata, key("view"), key("store"), held("at", BigInteger), held("body")
)

#: Results of finished steps under the hash that finds them again (`StepResult`).
steps = Table(
    "steps",
    metadata,
    key("key"),
    held("step"),
    held("run"),
    held("finished_at", BigInteger),
    held("body"),
    Index("ix_steps_run", "run"),
)

#: Executions of models' pipelines (`Run`).
runs = Table(
    "runs",
    metadata,
    key("id"),
    held("model"),
    held("status"),
    held("started_at", BigInteger),
    Column("finished_at", BigInteger),
    held("body"),
    Index("ix_runs_model_started_at", "model", "started_at"),
    Index("ix_runs_status", "status"),
    Index("ix_runs_model_id", "model", "id"),
    Index("ix_runs_status_id", "status", "id"),
    Index("ix_runs_model_status_id", "model", "status", "id"),
    Index("ix_runs_started_at_id", "started_at", "id"),
    Index("ix_runs_finished_at_id", "finished_at", "id"),
    Index("ix_runs_model_finished_at", "model", "finished_at"),
)

#: Metrics and plain parameters of runs that have ended, as `metrics.log_loss` and `params.depth`, to find runs by.
run_values = Table(
    "run_values",
    metadata,
    key("run"),
    key("name"),
    Column("number", Double),
    Column("text", Text),
    Index("ix_run_values_name_number_run", "name", "number", "run"),
    Index("ix_run_values_name_text", "name", "text"),
)

#: Sets of hyper-parameters tried in a run (`Trial`); `change` only grows within a run, with each change of a row.
trials = Table(
    "trials",
    metadata,
    key("run"),
    key("number", Integer),
    held("state"),
    held("change", BigInteger),
    held("body"),
    Index("ix_trials_run_change", "run", "change"),
)

#: Saved training states of a run or a trial, by number; `digest` is an object.
checkpoints = Table(
    "checkpoints",
    metadata,
    key("run"),
    key("number", Integer),
    held("digest"),
    held("at", BigInteger),
)

#: Immutable packages made by runs (`ModelVersion`); a run makes at most one.
model_versions = Table(
    "model_versions",
    metadata,
    key("model"),
    key("version", Integer),
    held("digest"),
    held("run"),
    held("created_at", BigInteger),
    held("body"),
    UniqueConstraint("run"),
)

#: Where each alias points now (`Alias`).
aliases = Table("aliases", metadata, key("model"), key("alias"), held("version", Integer), held("body"))

#: Every move of an alias (`Alias`).
alias_history = Table(
    "alias_history",
    metadata,
    key("id"),
    held("model"),
    held("alias"),
    held("at", BigInteger),
    held("body"),
    Index("ix_alias_history_model_alias_at", "model", "alias", "at"),
    Index("ix_alias_history_at_id", "at", "id"),
)

#: Versions that waited for a person, and what was decided (`Approval`).
approvals = Table(
    "approvals",
    metadata,
    key("model"),
    key("version", Integer),
    held("state"),
    held("asked_at", BigInteger),
    Column("decided_at", BigInteger),
    held("body"),
    Index("ix_approvals_state", "state"),
    Index("ix_approvals_asked_at", "asked_at"),
    Index("ix_approvals_decided_at", "decided_at"),
)

#: What gates said (`Verdict`).
verdicts = Table(
    "verdicts",
    metadata,
    key("id"),
    held("model"),
    held("run"),
    held("created_at", BigInteger),
    held("body"),
    Index("ix_verdicts_model_created_at", "model", "created_at"),
    Index("ix_verdicts_run", "run"),
)

#: Immutable states of endpoints (`Revision`).
revisions = Table(
    "revisions",
    metadata,
    key("endpoint"),
    key("revision", Integer),
    held("created_at", BigInteger),
    held("body"),
    Index("ix_revisions_created_at", "created_at"),
)

#: Ways of versions to all of the traffic, or back (`RolloutState`); `changed_at` is the moment of its last change.
rollouts = Table(
    "rollouts",
    metadata,
    key("id"),
    held("endpoint"),
    held("status"),
    held("started_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False, server_default="0"),
    held("body"),
    Index("ix_rollouts_endpoint_started_at", "endpoint", "started_at"),
    Index("ix_rollouts_status", "status"),
    Index("ix_rollouts_started_at_id", "started_at", "id"),
    Index("ix_rollouts_endpoint_started_at_id", "endpoint", "started_at", "id"),
    Index("ix_rollouts_changed_at_started_at", "changed_at", "started_at"),
)

#: What servers have counted of each variant while a rollout runs (`Reported`); gone when it ends.
tallies = Table(
    "tallies",
    metadata,
    key("server"),
    key("endpoint"),
    key("revision", Integer),
    held("at", BigInteger),
    held("body"),
)

#: What each server process has loaded (`ServerState`).
servers = Table(
    "servers",
    metadata,
    key("server"),
    key("endpoint"),
    held("revision", Integer),
    held("at", BigInteger),
    held("body"),
)

#: Whether models were due, and why (`Decision`).
decisions = Table(
    "decisions",
    metadata,
    key("id"),
    held("model"),
    held("at", BigInteger),
    held("due", Boolean),
    held("body"),
    Index("ix_decisions_model_at", "model", "at"),
    Index("ix_decisions_model_id", "model", "id"),
    Index("ix_decisions_due_id", "due", "id"),
    Index("ix_decisions_model_due_id", "model", "due", "id"),
)

#: Wishes of people and programs that a model be trained (`Request`); `run` is what was started for it, empty while it waits.
requests = Table(
    "requests",
    metadata,
    key("id"),
    held("model"),
    held("at", BigInteger),
    held("run"),
    held("body"),
    Index("ix_requests_run", "run"),
    Index("ix_requests_model_at", "model", "at"),
    Index("ix_requests_at", "at"),
)

#: Messages to people (`Alert`); `open` until what they say no longer holds.
alerts = Table(
    "alerts",
    metadata,
    key("id"),
    held("rule"),
    held("subject"),
    held("at", BigInteger),
    held("open", Boolean),
    Column("acknowledged_at", BigInteger),
    held("body"),
    Index("ix_alerts_rule_subject_at", "rule", "subject", "at"),
    Index("ix_alerts_open_at", "open", "at"),
    Index("ix_alerts_rule_id", "rule", "id"),
    Index("ix_alerts_subject_id", "subject", "id"),
    Index("ix_alerts_open_id", "open", "id"),
    Index("ix_alerts_acknowledged_at_id", "acknowledged_at", "id"),
)

#: What trackers elsewhere were told (`Sent`): `mirror` is the tracker's address, `subject` a reference.
mirrored = Table(
    "mirrored",
    metadata,
    key("mirror"),
    key("subject"),
    held("state"),
    held("at", BigInteger),
    held("body"),
)

#: Predictions that callers do not wait for (`Job`). `due`: when its web hook is tried next; 0: there is nothing to deliver.
jobs = Table(
    "jobs",
    metadata,
    key("id"),
    held("endpoint"),
    held("state"),
    held("created_at", BigInteger),
    held("due", BigInteger),
    held("body"),
    Index("ix_jobs_state_created_at", "state", "created_at"),
    Index("ix_jobs_endpoint_created_at", "endpoint", "created_at"),
    Index("ix_jobs_due", "due"),
)

#: Who works on what now; the token of a name only grows.
leases = Table(
    "leases",
    metadata,
    key("name"),
    held("holder"),
    held("token", BigInteger),
    held("expires_at", BigInteger),
)
