"""What goes with a commit to a Delta table: its properties, how rows are encoded, names of columns and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Field, Schema, WriterProperties

#: Rows of a sample, which costs next to nothing.
_SAMPLED = 4096
_STEPS = ColumnProperties(dictionary_enabled=False, encoding="DELTA_BINARY_PACKED")
_PLAIN = ColumnProperties(dictionary_enabled=False)


def properties(note: Mapping[str, str] | None) -> CommitProperties:
    """No retries: a commit that lost a race must not be put after the winner's, whose rows it has not seen."""
    return CommitProperties(custom_metadata=dict(note or {}), max_commit_retries=0)


def encoding(rows: pl.DataFrame) -> WriterProperties:
    """Return how the rows are encoded: by steps or plainly where a dictionary would only be built and thrown away.

    A column has no use for a dictionary if most values in a sample of it come once. The numbers and moments that
    Treadle gives to rows grow by small steps or stand still.
    """
    sample = rows.gather_every(max(1, rows.height // _SAMPLED))
    found = {}
    for name, kind in rows.schema.items():
        by_steps = kind.is_integer() or isinstance(kind, pl.Datetime)
        if name.startswith("_") and by_steps:
            found[name] = _STEPS
        elif not kind.is_nested() and rows.height > _SAMPLED and _mostly_once(sample[name]):
            found[name] = _STEPS if by_steps else _PLAIN
    return WriterProperties(compression="SNAPPY", column_properties=found)


def _mostly_once(sample: pl.Series) -> bool:
    there = sample.drop_nulls()
    return len(there) * 2 > len(sample) and there.n_unique() * 2 > len(there)


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
