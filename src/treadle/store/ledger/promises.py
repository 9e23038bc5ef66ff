"""The relations by which promises are measured: what servers counted, and since when promises are kept or broken."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, Table

from treadle.store.ledger.columns import held, key, metadata

#: Requests to endpoints (`Counts`) in the minute or hour (`span` seconds) from `at`; of hours, all servers' (`server` is empty).
served_counts = Table(
    "served_counts",
    metadata,
    key("endpoint"),
    key("at", BigInteger),
    key("span", Integer),
    key("server"),
    held("written", BigInteger),
    held("body"),
    Index("ix_served_counts_written", "written"),
    Index("ix_served_counts_span_at", "span", "at"),
)

#: Since when promises on time are kept or broken (`Course`).
slo_courses = Table("slo_courses", metadata, key("slo"), held("body"))
