"""What goes with a commit to a Delta table: its properties, how rows are encoded, names of columns and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Field, Schema, WriterProperties


def properties(note: Mapping[str, str] | None) -> CommitProperties:
    """No retries: a commit that lost a race must not be put after the winner's, whose rows it has not seen."""
    return CommitProperties(custom_metadata=dict(note or {}), max_commit_retries=0)


def encoding(rows: pl.DataFrame) -> WriterProperties:
    """Return how the rows are encoded: the numbers that Treadle gives to rows grow by small steps."""
    steps = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
    numbers = [name for name, kind in rows.schema.items() if name.startswith("_") and kind == pl.Int64]
    return WriterProperties(compression="SNAPPY", column_properties=dict.fromkeys(numbers, steps))


def quoted(column: str) -> str:
    """Return a column's name as it is written in a predicate."""
    escaped = column.replace('"', '""')
    return f'"{escaped}"'


def version_of(entry: str) -> int:
    """Return the version that a file of the log is about; -1: it is about none."""
    number = entry.rpartition("/")[2].partition(".")[0]
    return int(number) if number.isdigit() else -1


def columns_of(table: DeltaTable) -> dict[str, pl.DataType]:
    """Return the columns of a table and their types, in order."""
    empty: Any = table.schema().to_arrow()
    return dict(pl.Schema(empty).items())


def fields_of(kinds: Mapping[str, pl.DataType]) -> list[Field]:
    """Return columns as Delta declares them."""
    return list(Schema.from_arrow(pl.Schema(kinds)).fields)
