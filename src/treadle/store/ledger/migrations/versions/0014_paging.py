"""What long lists are read by, part by part: indexes, and columns for moments that only the records had."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0010"

_INDEXES = {
    "runs": (
        ("model", "id"),
        ("status", "id"),
        ("model", "status", "id"),
        ("started_at", "id"),
        ("finished_at", "id"),
        ("model", "finished_at"),
    ),
    "alias_history": (("at", "id"),),
    "approvals": (("asked_at",), ("decided_at",)),
    "revisions": (("created_at",),),
    "rollouts": (("started_at", "id"), ("endpoint", "started_at", "id"), ("changed_at", "started_at")),
    "decisions": (("model", "id"), ("due", "id"), ("model", "due", "id")),
    "requests": (("at",),),
    "alerts": (("rule", "id"), ("subject", "id"), ("open", "id"), ("acknowledged_at", "id")),
    "dataset_versions": (("why", "created_at"),),
    "run_values": (("name", "number", "run"),),
}
_AT_ONCE = 1000


def upgrade() -> None:
    """Add columns, fill them from the records, and make the indexes."""
    op.add_column("runs", sa.Column("finished_at", sa.BigInteger))
    op.add_column("approvals", sa.Column("decided_at", sa.BigInteger))
    op.add_column("alerts", sa.Column("acknowledged_at", sa.BigInteger))
    op.add_column("rollouts", sa.Column("changed_at", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("dataset_versions", sa.Column("why", sa.Text, nullable=False, server_default=""))
    _fill("runs", ("id",), "finished_at", lambda body: _micros(body.get("finished_at")))
    _fill("approvals", ("model", "version"), "decided_at", lambda body: _micros(body.get("decided_at")))
    _fill(
        "alerts", ("id",), "acknowledged_at", lambda body: _micros((body.get("acknowledged") or {}).get("at"))
    )
    _fill("rollouts", ("id",), "changed_at", lambda body: _micros(body["history"][-1]["at"]))
    _fill("dataset_versions", ("dataset", "version"), "why", lambda body: body.get("why") or None)
    op.drop_index("ix_run_values_name_number", "run_values")
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _fill(table: str, keys: tuple[str, ...], column: str, value: Callable[[dict[str, Any]], Any]) -> None:
    """Fill a new column from each record that has a value for it."""
    connection = op.get_bind()
    there = sa.table(table, *(sa.column(name) for name in (*keys, column, "body")))
    same = [there.c[key] == sa.bindparam(f"of_{key}") for key in keys]
    change = sa.update(there).where(*same).values({column: sa.bindparam("found")})
    waiting = []
    for row in connection.execute(sa.select(there)).mappings().all():
        found = value(msgspec.json.decode(row["body"]))
        if found is not None:
            waiting.append({"found": found, **{f"of_{key}": row[key] for key in keys}})
    for start in range(0, len(waiting), _AT_ONCE):
        connection.execute(change, waiting[start : start + _AT_ONCE])


def _micros(text: str | None) -> int | None:
    """Return a moment as a record writes it, as microseconds since 1970."""
    if not text:
        return None
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
