"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def _int(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False, autoincrement=False)


def _big(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, autoincrement=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _table(name: str, *columns: sa.Column[Any], key: list[str]) -> None:
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"))


def upgrade() -> None:
    """Make the tables."""
    _data()
    _training()
    _registry()
    _serving()
    _loop()


def _data() -> None:
    _table("datasets", _text("name"), _text("body"), key=["name"])
    _table(
        "dataset_versions",
        *(_text("dataset"), _int("version"), _big("created_at"), _text("body")),
        key=["dataset", "version"],
    )
    _table(
        "ingested_files",
        *(
            _text("dataset"),
            _text("part"),
            _text("path"),
            _text("fingerprint"),
            sa.Column("version", sa.Integer),
        ),
        *(_big("rows"), _text("status"), _text("reason"), _big("at")),
        key=["dataset", "part", "path", "fingerprint"],
    )
    op.create_index("ix_ingested_files_dataset_version", "ingested_files", ["dataset", "version"])


def _training() -> None:
    _table(
        "steps", _text("key"), _text("step"), _text("run"), _big("finished_at"), _text("body"), key=["key"]
    )
    op.create_index("ix_steps_run", "steps", ["run"])
    _table(
        "runs", _text("id"), _text("model"), _text("status"), _big("started_at"), _text("body"), key=["id"]
    )
    op.create_index("ix_runs_model_started_at", "runs", ["model", "started_at"])
    op.create_index("ix_runs_status", "runs", ["status"])
    _table("checkpoints", _text("run"), _int("number"), _text("digest"), _big("at"), key=["run", "number"])
    _table(
        "verdicts", _text("id"), _text("model"), _text("run"), _big("created_at"), _text("body"), key=["id"]
    )
    op.create_index("ix_verdicts_model_created_at", "verdicts", ["model", "created_at"])
    op.create_index("ix_verdicts_run", "verdicts", ["run"])


def _registry() -> None:
    op.create_table(
        "model_versions",
        *(_text("model"), _int("version"), _text("digest"), _text("run"), _big("created_at"), _text("body")),
        sa.PrimaryKeyConstraint("model", "version", name="pk_model_versions"),
        sa.UniqueConstraint("run", name="uq_model_versions_run"),
    )
    _table("aliases", _text("model"), _text("alias"), _int("version"), _text("body"), key=["model", "alias"])
    _table(
        "alias_history", _text("id"), _text("model"), _text("alias"), _big("at"), _text("body"), key=["id"]
    )
    op.create_index("ix_alias_history_model_alias_at", "alias_history", ["model", "alias", "at"])


def _serving() -> None:
    _table(
        "revisions",
        *(_text("endpoint"), _int("revision"), _big("created_at"), _text("body")),
        key=["endpoint", "revision"],
    )
    _table(
        "servers",
        *(_text("server"), _text("endpoint"), _int("revision"), _big("at"), _text("body")),
        key=["server", "endpoint"],
    )


def _loop() -> None:
    _table("decisions", _text("id"), _text("model"), _big("at"), _flag("due"), _text("body"), key=["id"])
    op.create_index("ix_decisions_model_at", "decisions", ["model", "at"])
    _table(
        "alerts",
        *(_text("id"), _text("rule"), _text("subject"), _big("at"), _flag("open"), _text("body")),
        key=["id"],
    )
    op.create_index("ix_alerts_rule_subject_at", "alerts", ["rule", "subject", "at"])
    _table("leases", _text("name"), _text("holder"), _big("token"), _big("expires_at"), key=["name"])
