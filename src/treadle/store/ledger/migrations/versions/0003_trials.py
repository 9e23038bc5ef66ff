"""Tables of the training room: trials of searches, and the values by which runs are found."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables, and fill in the values of the runs that have ended."""
    op.create_table(
        "trials",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run", "number", name="pk_trials"),
    )
    op.create_index("ix_trials_run_change", "trials", ["run", "change"])
    values = op.create_table(
        "run_values",
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("number", sa.Double, nullable=True),
        sa.Column("text", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("run", "name", name="pk_run_values"),
    )
    op.create_index("ix_run_values_name_number", "run_values", ["name", "number"])
    op.create_index("ix_run_values_name_text", "run_values", ["name", "text"])
    runs = sa.table("runs", sa.column("id"), sa.column("status"), sa.column("body"))
    ended = sa.select(runs.c.id, runs.c.body).where(runs.c.status != "running")
    for run, body in op.get_bind().execute(ended).all():
        op.bulk_insert(values, _values(run, json.loads(body)))


def _values(run: str, body: dict[str, dict[str, object]]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for kind in ("metrics", "params"):
        for name, value in body.get(kind, {}).items():
            number = float(value) if isinstance(value, int | float) else None
            text = value if isinstance(value, str) else None
            found.append({"run": run, "name": f"{kind}.{name}", "number": number, "text": text})
    return found
