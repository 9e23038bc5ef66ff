"""The tables by which promises are measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "served_counts",
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("span", sa.Integer, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("written", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "at", "span", "server", name="pk_served_counts"),
    )
    op.create_index("ix_served_counts_written", "served_counts", ["written"])
    op.create_index("ix_served_counts_span_at", "served_counts", ["span", "at"])
    op.create_table(
        "slo_courses",
        sa.Column("slo", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("slo", name="pk_slo_courses"),
    )
