"""Rows of a shared table that are older than a moment, and how they leave it: in one commit that takes nothing else.

The files that they stood in are removed once nobody can be reading them any more, an hour after that commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import polars as pl
from deltalake import DeltaTable

from treadle.core.records import Record
from treadle.store.tables import commits

#: How long somebody may be reading, or writing, with files that the newest version does not need.
READING = timedelta(hours=1)


class Expired(Record, frozen=True, kw_only=True):
    """Rows that are older than a moment."""

    rows: int = 0
    #: Bytes of files that they take, about: their share of the table's.
    size: int = 0


def older(table: DeltaTable | None, options: Mapping[str, str], *, column: str, before: datetime) -> Expired:
    """Count the rows of a table whose moment is before another; `options` are those of a scan."""
    if table is None:
        return Expired()
    files = pl.DataFrame(table.get_add_actions(flatten=True))
    total, size = int(files["num_records"].sum()), int(files["size_bytes"].sum())
    frame = pl.scan_delta(table, storage_options=dict(options) or None)
    rows = frame.filter(pl.col(column) < before).select(pl.len()).collect().item()
    return Expired(rows=rows, size=size * rows // max(total, 1))


def remove(table: DeltaTable, options: Mapping[str, str], *, column: str, before: datetime) -> Expired:
    """Commit the table without these rows, and say what they were; without any there is no commit."""
    found = older(table, options, column=column, before=before)
    if found.rows:
        table.delete(
            f"{commits.quoted(column)} < '{before.astimezone(UTC).isoformat()}'",
            writer_properties=commits.encoding_of(table, options),
            post_commithook_properties=commits.AFTER,
        )
    return found


def unread(table: DeltaTable) -> set[str]:
    """Return the names of the files that the table no longer needs, and of those that killed writers left, for an hour."""
    named = table.vacuum(
        retention_hours=READING // timedelta(hours=1),
        dry_run=True,
        enforce_retention_duration=False,
        full=True,
    )
    return {unquote(file.rpartition("/")[2]) for file in named}
