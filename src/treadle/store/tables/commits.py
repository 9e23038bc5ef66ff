"""What goes with a commit to a Delta table: its properties, how rows are encoded, names of columns and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Field, Schema, WriterProperties

#: Rows of a sample, which costs next to nothing.
_SAMPLED = 4096
_ROWS = "_rows of the sample"
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
    growing = {
        name for name, kind in rows.schema.items() if kind.is_integer() or isinstance(kind, pl.Datetime)
    }
    found = {name: _STEPS for name in growing if name.startswith("_")}
    if rows.height > _SAMPLED:
        found |= {name: _STEPS if name in growing else _PLAIN for name in _mostly_once(rows)}
    return WriterProperties(compression="SNAPPY", column_properties=found)


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


def columns_of(table: DeltaTable) -> dict[str, pl.DataType]:
    """Return the columns of a table and their types, in order."""
    empty: Any = table.schema().to_arrow()
    return dict(pl.Schema(empty).items())


def fields_of(kinds: Mapping[str, pl.DataType]) -> list[Field]:
    """Return columns as Delta declares them."""
    return list(Schema.from_arrow(pl.Schema(kinds)).fields)
