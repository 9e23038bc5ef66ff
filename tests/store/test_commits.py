"""How the rows of a commit are encoded."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from treadle.store.tables.tables import Tables

_ROWS = 20_000


def test_only_columns_whose_values_come_again_have_a_dictionary(tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    rows = pl.DataFrame(
        {
            "id": range(_ROWS),
            "price": [number / 7 for number in range(_ROWS)],
            "name": [f"name {number}" for number in range(_ROWS)],
            "carrier": ["AA", "UA"] * (_ROWS // 2),
            "delay": [number % 60 for number in range(_ROWS)],
            "_seq": range(_ROWS),
        }
    )

    tables.append("t", rows, base=None)

    (file,) = (tmp_path / "tables" / "t").glob("*.parquet")
    query = f"SELECT path_in_schema, encodings FROM parquet_metadata('{file}')"
    encodings = dict(duckdb.sql(query).fetchall())
    with_dictionary = {name for name, encoding in encodings.items() if "RLE_DICTIONARY" in encoding}
    assert with_dictionary == {"carrier", "delay"}
    assert "DELTA_BINARY_PACKED" in encodings["_seq"]
    assert tables.scan("t").collect().equals(rows)


def test_a_column_of_nulls_and_nested_columns_are_kept(tmp_path: Path) -> None:
    tables = Tables.open("tables", root=tmp_path, options={})
    rows = pl.DataFrame(
        {"nothing": [None] * _ROWS, "list": [[1, 2]] * _ROWS, "struct": [{"a": 1}] * _ROWS},
        schema={"nothing": pl.Float64, "list": pl.List(pl.Int64), "struct": pl.Struct({"a": pl.Int64})},
    )

    tables.append("t", rows, base=None)

    assert tables.scan("t").collect().equals(rows)
