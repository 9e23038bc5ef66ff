"""The relations of what performance is made of, by stretch of time."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Table

from treadle.store.ledger.columns import held, key, metadata

#: How far the logs of an endpoint have been taken in for one question about its answers (`Mark`); `view` is the question's digest.
performance_views = Table(
    "performance_views",
    metadata,
    key("view"),
    held("endpoint"),
    held("used_at", BigInteger),
    held("body"),
    Index("ix_performance_views_used_at", "used_at"),
)

#: What a question's metric is made of in the stretch from `start`: its columns, as JSON.
performance_parts = Table("performance_parts", metadata, key("view"), key("start", BigInteger), held("body"))
