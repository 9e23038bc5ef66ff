"""Limits: what a contract says of the values of a column, as expressions that are true for good cells."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from treadle.data.columns import Bound, ColumnSpec, python_value, whole
from treadle.data.types import DTYPES, Kind

_LISTED = 8
_BOUNDS = (
    ("ge", pl.Expr.ge, "is below"),
    ("gt", pl.Expr.gt, "is not above"),
    ("le", pl.Expr.le, "is above"),
    ("lt", pl.Expr.lt, "is not below"),
)


def limits(column: ColumnSpec) -> list[tuple[pl.Expr, str]]:
    """Return for each limit of a column the expression that is true for good cells, and what to say of the others.

    Where a cell has no value the expression is null.
    """
    cell = pl.col(column.name)
    found = [
        (test(cell, _literal(bound, column.kind)), f"{words} {bound}")
        for name, test, words in _BOUNDS
        if (bound := getattr(column, name)) is not None
    ]
    if column.allowed is not None:
        values = pl.Series(
            [python_value(value, column.kind) for value in column.allowed], dtype=DTYPES[column.kind]
        )
        found.append((cell.is_in(values.implode()), f"is not one of {_some(column.allowed)}"))
    return [*found, *_of_text(cell, column), *_of_vectors(cell, column)]


def _of_text(cell: pl.Expr, column: ColumnSpec) -> list[tuple[pl.Expr, str]]:
    found = []
    if column.pattern is not None:
        found.append((cell.str.contains(whole(column.pattern)), f"does not match {column.pattern}"))
    if column.min_length is not None:
        found.append(
            (cell.str.len_chars() >= column.min_length, f"has fewer than {column.min_length} characters")
        )
    if column.max_length is not None:
        found.append(
            (cell.str.len_chars() <= column.max_length, f"has more than {column.max_length} characters")
        )
    return found


def _of_vectors(cell: pl.Expr, column: ColumnSpec) -> list[tuple[pl.Expr, str]]:
    if column.length is None:
        return []
    return [(cell.list.len() == column.length, f"is not of length {column.length}")]


def _literal(bound: Bound, kind: Kind) -> pl.Expr:
    return pl.lit(python_value(bound, kind), dtype=DTYPES[kind])


def _some(values: Sequence[Bound]) -> str:
    shown = ", ".join(map(str, values[:_LISTED]))
    return shown if len(values) <= _LISTED else f"{shown}, … ({len(values)} values)"
