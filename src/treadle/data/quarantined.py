"""Quarantined rows as they landed: finding those that are about somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

#: The columns that tell quarantined rows apart.
PLACE = ("_version", "_part", "_file", "_row")


def matching(rows: pl.DataFrame, *, where: Mapping[str, Any], keys: pl.DataFrame) -> pl.DataFrame:
    """Return the places of the rows that have all these values, or the values of one of the keys, as text.

    A quarantined row is what landed, which need not have the contract's types: values are compared as they are written.
    """
    tests = []
    if where:
        tests.append(
            pl.all_horizontal(
                _cell(name).is_in([_text(value) for value in _values(wanted)])
                for name, wanted in where.items()
            )
        )
    if keys.height:
        texts = keys.select(pl.concat_str(pl.all().cast(pl.String), separator="\x1f").alias("key"))["key"]
        cells = pl.concat_str([_cell(name) for name in keys.columns], separator="\x1f")
        tests.append(cells.is_in(texts.implode()))
    if not tests:
        return rows.select(PLACE).clear()
    return rows.filter(pl.any_horizontal(tests).fill_null(value=False)).select(PLACE)


def _cell(name: str) -> pl.Expr:
    """Return the expression for a landed cell as text, without the quotes of JSON."""
    path = "$['" + name.replace("\\", "\\\\").replace("'", "\\'") + "']"
    return pl.col("_raw").str.json_path_match(path)


def _values(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
