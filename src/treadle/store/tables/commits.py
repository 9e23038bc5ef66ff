"""What goes with a commit to a Delta table: its configuration and properties, how rows are encoded, names of columns and versions."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Field,
    PostCommitHookProperties,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)

from treadle.core.clock import SystemClock
from treadle.store.tables import schemas
from treadle.store.tables.backend import Backend

#: Commits between checkpoints: reading a table's state costs one checkpoint and at most so many log entries.
CHECKPOINT_EVERY = 20
#: A sender that has delivered nothing for so long is not named in later checkpoints: each process is one, and they would grow with
#: every start. What such a sender still has may come twice, so a machine that was away for longer is no longer waited for.
SENDERS = {"delta.setTransactionRetentionDuration": "interval 30 days"}
CONFIGURATION = {
    "delta.checkpointInterval": str(CHECKPOINT_EVERY),
    # Which versions stay readable is decided by `vacuum` and `trim`, not by their age.
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    # A removed file is not named in later checkpoints: they would grow with every commit.
    "delta.deletedFileRetentionDuration": "interval 1 days",
    **SENDERS,
}
#: A checkpoint is made once its commit is settled: one that outlived its commit would make older versions unreadable.
AFTER = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)

#: Rows of a sample, which costs next to nothing.
_SAMPLED = 4096
_ROWS = "_rows of the sample"
_STEPS = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
_PLAIN = ColumnProperties(dictionary_enabled=False)


def properties(note: Mapping[str, str] | None) -> CommitProperties:
    """No retries: a commit that lost a race must not be put after the winner's, whose rows it has not seen."""
    return CommitProperties(custom_metadata=dict(note or {}), max_commit_retries=0)


def delivery(sender: str, number: int, *, alone: bool = False) -> CommitProperties:
    """The number of a sender's delivery, and when it was: see `SENDERS`; `alone`, it must be the very next version."""
    at = int(SystemClock().now().timestamp() * 1000)
    return CommitProperties(
        app_transactions=[Transaction(app_id=sender, version=number, last_updated=at)],
        max_commit_retries=0 if alone else None,
    )


def let_senders_end(table: DeltaTable) -> None:
    """Let a table of an earlier release forget senders that are gone; there is a commit only the first time."""
    if not SENDERS.keys() <= table.metadata().configuration.keys():
        table.alter.set_table_properties(
            SENDERS, commit_properties=properties(None), post_commithook_properties=AFTER
        )


def create(
    backend: Backend, name: str, rows: pl.DataFrame, *, commit: CommitProperties, over: DeltaTable | None
) -> DeltaTable:
    """Make a table of the rows; one that a writer made and never recorded is replaced in one commit."""
    where = backend.uri(name)
    write_deltalake(
        over or where,
        rows,
        mode="overwrite" if over else "error",
        schema_mode="overwrite" if over else None,
        configuration=None if over else CONFIGURATION,
        storage_options=None if over else backend.options,
        commit_properties=commit,
        post_commithook_properties=AFTER,
        writer_properties=encoding(rows),
    )
    return over or DeltaTable(where, version=0, storage_options=backend.options)


def add(table: DeltaTable, rows: pl.DataFrame, *, commit: CommitProperties, name: str) -> None:
    """Add rows to a table; they must have exactly its columns."""
    schemas.check(rows, against=columns_of(table), table=name)
    write_deltalake(
        table,
        rows,
        mode="append",
        commit_properties=commit,
        post_commithook_properties=AFTER,
        writer_properties=encoding(rows),
    )


def add_columns(table: DeltaTable, kinds: Mapping[str, pl.DataType]) -> None:
    """Add columns to a table; without any there is no commit."""
    if kinds:
        table.alter.add_columns(
            fields_of(kinds), commit_properties=properties(None), post_commithook_properties=AFTER
        )


def encoding(rows: pl.DataFrame) -> WriterProperties:
    """Return how the rows are encoded: by steps or plainly where a dictionary would only be built and thrown away.

    A column has no use for a dictionary if most values in a sample of it come once. The numbers and moments that
    Treadle gives to rows grow by small steps or stand still.
    """
    growing = {
        name for name, kind in rows.schema.items() if kind.is_integer() or isinstance(kind, pl.Datetime)
    }
    found = {name: _STEPS for name in growing if name.startswith("_")}
    if rows.height > _SAMPLED:
        found |= {name: _STEPS if name in growing else _PLAIN for name in _mostly_once(rows)}
    return WriterProperties(compression="SNAPPY", column_properties=found)


def encoding_of(table: DeltaTable, options: Mapping[str, str]) -> WriterProperties:
    """Return how the rows of a table are encoded when they are written again; `options` are those of a scan."""
    files = table.file_uris()
    # One of the two is old, and has been joined from many: to read its first rows is no work beside reading them all.
    some = [
        pl.scan_parquet(file, storage_options=dict(options) or None).head(_SAMPLED + 1).collect()
        for file in {*files[:1], *files[-1:]}
    ]
    return encoding(max(some, key=len, default=pl.DataFrame()))


def _mostly_once(rows: pl.DataFrame) -> list[str]:
    """Return the columns of which more than half of a sample comes once."""
    flat = [name for name, kind in rows.schema.items() if not kind.is_nested()]
    sample = rows.lazy().select(flat).gather_every(rows.height // _SAMPLED)
    counts = (
        sample.select(pl.len().alias(_ROWS), *(pl.col(name).n_unique() for name in flat)).collect().row(0)
    )
    return [name for name, count in zip(flat, counts[1:], strict=True) if count * 2 > counts[0]]


def quoted(column: str) -> str:
    """Return a column's name as it is written in a predicate."""
    escaped = column.replace('"', '""')
    return f'"{escaped}"'


def version_of(entry: str) -> int:
    """Return the version that a file of the log is about; -1: it is about none."""
    number = entry.rpartition("/")[2].partition(".")[0]
    return int(number) if number.isdigit() else -1


def superseded(log: Collection[str], kept: Collection[str]) -> list[str]:
    """Return the entries of a log from before the newest checkpoint in `kept`, the oldest first.

    A version can be read from a checkpoint that is not younger than it, and the entries since.
    """
    first = max((version_of(entry) for entry in kept if ".checkpoint" in entry), default=0)
    return sorted(entry for entry in log if 0 <= version_of(entry) < first)


def columns_of(table: DeltaTable) -> dict[str, pl.DataType]:
    """Return the columns of a table and their types, in order."""
    empty: Any = table.schema().to_arrow()
    return dict(pl.Schema(empty).items())


def fields_of(kinds: Mapping[str, pl.DataType]) -> list[Field]:
    """Return columns as Delta declares them."""
    return list(Schema.from_arrow(pl.Schema(kinds)).fields)
