"""Quarantined rows: each with all its reasons, its file and row, and itself as it landed, as JSON text."""

from __future__ import annotations

import base64
import math
from collections.abc import Collection
from typing import Any

import msgspec
import polars as pl

#: Columns of quarantined rows.
QUARANTINE = {"_reason": pl.String(), "_file": pl.String(), "_row": pl.Int64(), "_raw": pl.String()}
#: Between the reasons of a row; cells that are told in a reason never hold it.
BETWEEN = "; "
#: How the reason of a row begins that could not be split into cells at all.
NOT_A_ROW = "the row: "
_LONGEST_SHOWN = 80
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_INT64 = 2**63


def quarantined(
    rows: pl.DataFrame, reasons: pl.Series, *, places: pl.DataFrame, mixed: Collection[str] = ()
) -> pl.DataFrame:
    """Return rows as they landed as quarantined rows; cells of `mixed` columns are JSON texts already.

    `places` holds `_file` and `_row` of each.
    """
    return pl.DataFrame(
        [reasons.alias("_reason"), places["_file"], places["_row"], _raw(rows, mixed).alias("_raw")]
    )


def as_json(rows: pl.DataFrame) -> pl.Expr:
    """Return the expression for each row of a frame as JSON text, called `_raw`."""
    plain = [pl.lit(_plain(rows[name])) for name in rows.columns]
    return pl.struct(plain).struct.json_encode().alias("_raw")


def as_text(cells: pl.Series) -> pl.Series:
    """Return cells as they are told in a message: text in quotes, shortened; lists by their length."""
    dtype = cells.dtype
    if isinstance(dtype, pl.List | pl.Array):
        lengths = cells.list.len() if isinstance(dtype, pl.List) else cells.arr.len()
        return pl.select(pl.format("[{} values]", lengths)).to_series()
    if dtype == pl.Binary:
        return pl.select(pl.format("{} bytes", cells.bin.size())).to_series()
    if dtype.is_nested():
        shown = cells.struct.json_encode()
    elif dtype == pl.String:
        shown = cells
    else:
        return cells.cast(pl.String, strict=False)
    safe = shown.str.slice(0, _LONGEST_SHOWN).str.replace_all(_CONTROL, "·").str.replace_all(BETWEEN, ";")
    return pl.select(pl.concat_str(pl.lit("'"), safe, pl.lit("'"))).to_series()


def _raw(rows: pl.DataFrame, mixed: Collection[str]) -> pl.Series:
    """Return each row as JSON text, from which its cells can be read again as they landed."""
    odd = _odd(rows, mixed)
    if not odd.any():
        return rows.select(as_json(rows)).to_series()
    plain = rows.filter(~odd)
    texts = rows.filter(odd).to_dicts()
    encoded = pl.Series([_encoded(row, mixed) for row in texts], dtype=pl.String)
    places = pl.concat([odd.not_().arg_true(), odd.arg_true()])
    return pl.concat([plain.select(as_json(plain)).to_series(), encoded]).gather(places.arg_sort())


def _odd(rows: pl.DataFrame, mixed: Collection[str]) -> pl.Series:
    """Return which rows hold what Polars does not write as JSON: infinite numbers, and cells that are JSON already."""
    if mixed:
        return pl.repeat(True, rows.height, dtype=pl.Boolean, eager=True)
    floats = [name for name, dtype in rows.schema.items() if dtype.is_float()]
    if not floats:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    return rows.select(pl.any_horizontal(pl.col(floats).is_infinite()).fill_null(value=False)).to_series()


def _plain(cells: pl.Series) -> pl.Series:
    """Return cells as a type that Polars writes as JSON without loss."""
    dtype = cells.dtype
    if dtype == pl.Float32 or isinstance(dtype, pl.Decimal):
        return cells.cast(pl.Float64)
    if dtype == pl.Binary:
        return cells.bin.encode("base64")
    if isinstance(dtype, pl.Array):
        return cells.arr.to_list()
    if dtype in {pl.String, pl.Boolean, pl.Null} or dtype.is_integer() or dtype.is_float():
        return cells
    return cells if dtype.is_nested() else cells.cast(pl.String)


def _encoded(row: dict[str, Any], mixed: Collection[str]) -> str:
    cells = {
        name: msgspec.Raw(value.encode()) if name in mixed and value is not None else _whole(value)
        for name, value in row.items()
    }
    return msgspec.json.encode(cells).decode()


def _whole(value: Any) -> Any:
    """Return a value that JSON can hold; an infinite number as its name, since it is none."""
    if isinstance(value, float):
        return str(value) if math.isinf(value) else value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if isinstance(value, str | bool | int | list | dict) or value is None else str(value)
