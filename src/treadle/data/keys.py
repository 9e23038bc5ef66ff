"""Keys: which of the new rows are new, which were here before, which replace a row that was, and which contradict it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from treadle.data.quarantine import QUARANTINE, as_json, as_text

_AT = "_at"


@dataclass(frozen=True)
class Told:
    """New rows, told apart by their key."""

    #: Rows whose key was not there: one of each key.
    fresh: pl.DataFrame
    #: Rows that are a later form of a stored row, and those stored rows as they are, in no common order.
    replacing: pl.DataFrame
    replaced: pl.DataFrame
    #: How many rows say what is there already.
    repeated: int
    #: How many rows say what was true before the row that is there.
    outdated: int
    #: Rows that say something else than the row that has their key; columns as of quarantined rows.
    clashing: pl.DataFrame

    @property
    def written(self) -> pl.DataFrame:
        """The rows that are to be stored."""
        return self.fresh if self.replacing.is_empty() else pl.concat([self.fresh, self.replacing])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return self.fresh.is_empty() and self.replacing.is_empty()


def told_nothing(rows: pl.DataFrame) -> Told:
    """Return that there are no new rows; `rows` is a frame of their columns."""
    empty = rows.clear()
    return Told(empty, empty, empty, 0, 0, pl.DataFrame(schema=QUARANTINE))


def tell_apart(
    new: pl.DataFrame,
    *,
    key: Sequence[str],
    updated: str | None = None,
    passed_over: Sequence[str] = (),
    twins: bool = True,
    stored: Callable[[pl.DataFrame], pl.DataFrame | None],
) -> Told:
    """Compare new rows with the stored ones, then with each other.

    `new` has `_file` and `_row`; `stored` returns the whole stored rows of some keys, None where there is none. Columns in
    `passed_over` do not count in comparisons. Without `updated` the first row of a key stays; with it, the row that was
    updated last does. `twins=False` says that no key comes twice among the new rows.
    """
    rules = Rules(key, updated, passed_over, twins)
    holders = stored(new.select(key)) if new.height else None
    if holders is None or holders.is_empty():
        fresh = _among_themselves(new, rules)
        empty = new.clear()
        return Told(fresh.first, empty, empty, fresh.repeated, fresh.outdated, fresh.clashing)
    met = new.join(holders.select(key), on=list(key), how="semi", maintain_order="left")
    fresh = _among_themselves(
        new.join(holders.select(key), on=list(key), how="anti", maintain_order="left"), rules
    )
    later, older = met.clear(), 0
    if updated:
        later, older, met = _by_time(met, holders, key=key, updated=updated)
    same, other = _compare(met, holders, key=key, passed_over=passed_over)
    last = _among_themselves(later, rules)
    return Told(
        fresh.first,
        last.first,
        holders.join(last.first.select(key), on=list(key), how="semi"),
        fresh.repeated + last.repeated + same,
        fresh.outdated + last.outdated + older,
        pl.concat([other, fresh.clashing, last.clashing]),
    )


@dataclass(frozen=True)
class Rules:
    """What tells rows apart, and which of two rows of a key stays."""

    key: Sequence[str]
    updated: str | None
    passed_over: Sequence[str]
    twins: bool


@dataclass(frozen=True)
class Among:
    """New rows of which each key has one that holds it."""

    first: pl.DataFrame
    outdated: int
    repeated: int
    clashing: pl.DataFrame


def _among_themselves(new: pl.DataFrame, rules: Rules) -> Among:
    """Choose the row of each key that holds it, and compare the others with it."""
    key, updated = rules.key, rules.updated
    if not new.height or not rules.twins or not new.select(key).is_duplicated().any():
        return Among(new, 0, 0, pl.DataFrame(schema=QUARANTINE))
    numbered = new.with_row_index(_AT)
    ordered = numbered.sort(updated, descending=True, maintain_order=True) if updated else numbered
    first = ordered.unique(subset=list(key), keep="first", maintain_order=True).sort(_AT)
    later = numbered.join(first.select(_AT), on=_AT, how="anti", maintain_order="left").drop(_AT)
    first, outdated = first.drop(_AT), 0
    if updated:
        _, outdated, later = _by_time(later, first, key=key, updated=updated)
    same, other = _compare(later, first, key=key, passed_over=rules.passed_over)
    return Among(first, outdated, same, other)


def _by_time(
    rows: pl.DataFrame, holders: pl.DataFrame, *, key: Sequence[str], updated: str
) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    """Return the rows that were updated after those that hold their keys, how many before, and those at the same moment.

    A stored row that has no such moment, as it came before the column was declared, is older than all.
    """
    was = holders.select(
        *key, pl.col(updated).alias(_AT) if updated in holders.columns else _never(rows, updated)
    )
    paired = rows.join(was, on=list(key), how="left", maintain_order="left")
    now = pl.col(updated)
    later = paired.filter(pl.col(_AT).is_null() | (now > pl.col(_AT))).drop(_AT)
    same = paired.filter(now == pl.col(_AT)).drop(_AT)
    return later, rows.height - later.height - same.height, same


def _never(rows: pl.DataFrame, updated: str) -> pl.Expr:
    return pl.lit(None, dtype=rows.schema[updated]).alias(_AT)


def _compare(
    rows: pl.DataFrame, holders: pl.DataFrame, *, key: Sequence[str], passed_over: Sequence[str]
) -> tuple[int, pl.DataFrame]:
    """Return how many rows equal the row that holds their key, and the others as quarantined rows."""
    nobody = pl.DataFrame(schema=QUARANTINE)
    if rows.is_empty():
        return 0, nobody
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
        return rows.height, nobody
    others = pairs.filter(differs)
    reasons = others.select(_reason(others, key, changed))["_reason"]
    plain = others.select(name for name in rows.columns if not name.startswith("_"))
    bad = others.select(
        pl.lit(reasons).alias("_reason"),
        "_file",
        "_row",
        pl.lit(plain.select(as_json(plain))["_raw"]).alias("_raw"),
    )
    return rows.height - bad.height, bad


def _reason(rows: pl.DataFrame, key: Sequence[str], changed: dict[str, pl.Expr]) -> pl.Expr:
    def text(name: str) -> pl.Expr:
        cells = rows[name]
        texts = (
            as_text(cells) if cells.dtype.is_nested() or cells.dtype == pl.Binary else cells.cast(pl.String)
        )
        return pl.lit(texts).fill_null("no value")

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
