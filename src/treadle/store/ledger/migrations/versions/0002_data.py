"""Tables of the data and feature rooms: tags, trees of files, positions in sources, materialised views."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "dataset_tags",
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("dataset", "tag", name="pk_dataset_tags"),
    )
    op.create_table(
        "source_positions",
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("dataset", "part", name="pk_source_positions"),
    )
    op.create_table(
        "tree_versions",
        sa.Column("tree", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tree", "version", name="pk_tree_versions"),
    )
    op.create_table(
        "materialisations",
        sa.Column("view", sa.Text, nullable=False),
        sa.Column("store", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("view", "store", name="pk_materialisations"),
    )
