"""Keys: which of the new rows are really new, which were here before, and which contradict a row that was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from treadle.data.checks import QUARANTINE, as_json


@dataclass(frozen=True)
class Told:
    """New rows, told apart by their key."""

    #: Rows whose key was not there: the first of each key.
    fresh: pl.DataFrame
    #: How many rows say what is there already.
    repeated: int
    #: Rows that say something else than the row that has their key; columns as of quarantined rows.
    clashing: pl.DataFrame


def tell_apart(
    new: pl.DataFrame,
    *,
    key: Sequence[str],
    passed_over: Sequence[str] = (),
    stored_keys: pl.DataFrame | None,
    stored_rows: Callable[[pl.DataFrame], pl.DataFrame],
) -> Told:
    """Compare new rows with the stored ones, then with each other; the first of a key stays.

    `new` has `_file` and `_row`. `stored_keys` has the key's columns only; `stored_rows` returns the whole stored rows of
    some keys, and is called only if a key is there already. Columns in `passed_over` do not count in comparisons.
    """
    fresh, repeated, clashing = new, 0, [pl.DataFrame(schema=QUARANTINE)]
    if stored_keys is not None and stored_keys.height and fresh.height:
        there = stored_keys.join(fresh.select(key), on=list(key), how="semi")
        if there.height:
            known = fresh.join(there, on=list(key), how="semi", maintain_order="left")
            fresh = fresh.join(there, on=list(key), how="anti", maintain_order="left")
            same, other = _compare(known, stored_rows(there), key=key, passed_over=passed_over)
            repeated += same
            clashing.append(other)
    if fresh.height and fresh.select(key).is_duplicated().any():
        first = fresh.with_row_index("_index").unique(subset=list(key), keep="first", maintain_order=True)
        later = fresh.with_row_index("_index").join(first, on="_index", how="anti", maintain_order="left")
        fresh = first.drop("_index")
        same, other = _compare(later.drop("_index"), fresh, key=key, passed_over=passed_over)
        repeated += same
        clashing.append(other)
    return Told(fresh, repeated, pl.concat(clashing))


def _compare(
    rows: pl.DataFrame, holders: pl.DataFrame, *, key: Sequence[str], passed_over: Sequence[str]
) -> tuple[int, pl.DataFrame]:
    """Return how many rows equal the row that holds their key, and the others as quarantined rows."""
    values = [name for name in rows.columns if name not in {*key, *passed_over} and not name.startswith("_")]
    holders = holders.with_columns(
        pl.lit(None, dtype=rows.schema[n]).alias(n) for n in values if n not in holders.columns
    )
    pairs = rows.join(
        holders.select(*key, *(pl.col(n).alias(f"_was_{n}") for n in (*values, "_file", "_row"))),
        on=list(key),
        how="left",
        maintain_order="left",
    )
    changed = {name: pl.col(name).ne_missing(pl.col(f"_was_{name}")) for name in values}
    differs = pairs.select(
        pl.any_horizontal(changed.values()) if changed else pl.lit(value=False)
    ).to_series()
    differs = differs if len(differs) == pairs.height else pl.Series([False] * pairs.height)
    if not differs.any():
        return rows.height, pl.DataFrame(schema=QUARANTINE)
    others = pairs.filter(differs)
    reasons = others.select(_reason(key, changed))["_reason"]
    plain = others.select(name for name in rows.columns if not name.startswith("_"))
    bad = others.select(
        pl.lit(reasons).alias("_reason"),
        "_file",
        "_row",
        pl.lit(plain.select(as_json(plain))["_raw"]).alias("_raw"),
    )
    return rows.height - bad.height, bad


def _reason(key: Sequence[str], changed: dict[str, pl.Expr]) -> pl.Expr:
    def text(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String).fill_null("no value")

    shown = [pl.concat_str(pl.lit(f"{name}="), text(name)) for name in key]
    told = [
        pl.when(differs).then(
            pl.concat_str(pl.lit(f"{name}: "), text(f"_was_{name}"), pl.lit(" → "), text(name))
        )
        for name, differs in changed.items()
    ]
    return pl.concat_str(
        pl.lit("key "),
        pl.concat_str(shown, separator=", "),
        pl.lit(" is there already with other values ("),
        pl.concat_str(told, separator=", ", ignore_nulls=True),
        pl.lit("), from "),
        pl.col("_was__file"),
        pl.lit(" row "),
        pl.col("_was__row").cast(pl.String),
    ).alias("_reason")
