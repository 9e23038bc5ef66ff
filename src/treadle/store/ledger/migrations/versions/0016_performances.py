"""The tables of what performance is made of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "performance_views",
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("view", name="pk_performance_views"),
    )
    op.create_index("ix_performance_views_used_at", "performance_views", ["used_at"])
    op.create_table(
        "performance_parts",
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("view", "start", name="pk_performance_parts"),
    )
