"""Reasons: why rows are in quarantine, counted by what they break."""

from __future__ import annotations

from typing import Literal

import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Record
from treadle.data.quarantine import BETWEEN, NOT_A_ROW

By = Literal["reason", "column", "file", "version"]
_EXAMPLES = 3
_COMMONEST = 5
_WORDS = r"(?:is (?:not|above|below|the key)|does not match|has (?:no|fewer|more)) ?.*"
#: A cell as it is told: text in quotes, or a number, a moment, a list's length.
_CELL = r"(?:'.*'|[^' ]+(?: [^' ]+)?)"
_OF_A_CELL = rf"^(?P<column>.+?): (?:{_CELL} )?(?P<words>{_WORDS})$"
_OF_A_RULE = r"^rule (?P<rule>\w+): "
_CLASH = "key is there already with other values"
_STARTS = rf"{_OF_A_RULE}|^.+?: (?:{_CELL} )?(?:{_WORDS})"


class Explained(Record, frozen=True, kw_only=True):
    """What some quarantined rows have in common."""

    #: The reason with `…` in the cell's place, the column, the file, or the version.
    what: str
    #: Rows; one with several reasons counts for each.
    rows: int
    #: Of all quarantined rows, 0 to 1.
    share: float
    #: In how many files they are.
    files: int
    #: The first rows, as `file row: reason`.
    examples: tuple[str, ...] = ()


def explain(quarantine: pl.DataFrame, *, by: By = "reason") -> tuple[Explained, ...]:
    """Group quarantined rows by what they break (or by column, file or version), commonest first.

    `quarantine` has `_reason`, `_file`, `_row`, and for `by="version"` also `_version`.

    Raises:
        InvalidInput: `by` is none of them.
    """
    if quarantine.is_empty():
        return ()
    groups = _grouped(quarantine, by).group_by("_what", maintain_order=True)
    said = pl.format("{} row {}: {}", "_file", "_row", "_one")
    found = groups.agg(
        pl.struct("_file", "_row", "_at").n_unique().alias("rows"),
        pl.col("_file").n_unique().alias("files"),
        said.unique(maintain_order=True).head(_EXAMPLES).alias("examples"),
    ).sort("rows", "_what", descending=[True, False])
    return tuple(
        Explained(what=what, rows=rows, share=rows / quarantine.height, files=files, examples=tuple(examples))
        for what, rows, files, examples in found.rows()
    )


def too_many(bad: pl.DataFrame, *, landed: int, limit: float) -> str | None:
    """Say that more than a share of the landed rows is bad, with the commonest reasons, or return None.

    `bad` has the columns of quarantined rows; `landed` counts good and bad rows; `limit` is a share, 0 to 1.
    """
    if bad.height <= limit * landed:
        return None
    reasons = explain(bad)
    listed = "".join(
        f"\n  - {_rows(one.rows)}: {one.what} (as {one.examples[0]})" for one in reasons[:_COMMONEST]
    )
    more = f"\n  - and {len(reasons) - _COMMONEST} more reasons" if len(reasons) > _COMMONEST else ""
    return (
        f"{bad.height:,} of {landed:,} rows ({bad.height / landed:.1%}) are bad, and at most {limit:.1%} may be "
        f"(most_bad={limit:g}):{listed}{more}"
    )


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


def _grouped(quarantine: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return for each row and reason what it is grouped by, as `_what`, and the reason itself, as `_one`."""
    rows = quarantine.with_columns(pl.int_range(pl.len()).alias("_at"), pl.col("_reason").alias("_one"))
    if by == "file":
        return rows.with_columns(pl.col("_file").alias("_what"))
    if by == "version":
        return rows.with_columns(pl.format("version {}", "_version").alias("_what"))
    if by not in {"reason", "column"}:
        msg = f"Quarantined rows cannot be grouped by {by!r}. {closest(by, ['reason', 'column', 'file', 'version'])}"
        raise InvalidInput(msg, field="by")
    what = _column() if by == "column" else _template()
    return _apart(rows).with_columns(what.alias("_what"))


def _is_clash(reason: pl.Expr) -> pl.Expr:
    return reason.str.starts_with("key ") & reason.str.contains(
        " is there already with other values (", literal=True
    )


def _is_of_row(reason: pl.Expr) -> pl.Expr:
    return _is_clash(reason) | reason.str.starts_with(NOT_A_ROW)


def _column() -> pl.Expr:
    """Return what a reason, `_one`, is about: a column, a rule, the key, or the row as such."""
    one = pl.col("_one")
    rule = one.str.extract(_OF_A_RULE)
    column = one.str.extract_groups(_OF_A_CELL).struct.field("column")
    return (
        pl.when(_is_clash(one))
        .then(pl.lit("the key"))
        .when(rule.is_not_null())
        .then(pl.format("rule {}", rule))
        .when(column.is_not_null() & ~_is_of_row(one))
        .then(column)
        .otherwise(pl.lit("the row"))
    )


def _template() -> pl.Expr:
    """Return a reason, `_one`, with `…` in the place of what differs from row to row."""
    one = pl.col("_one")
    parts = one.str.extract_groups(_OF_A_CELL)
    column, words = parts.struct.field("column"), parts.struct.field("words")
    has_cell = one.str.len_bytes() > column.str.len_bytes() + words.str.len_bytes() + len(": ")
    return (
        pl.when(_is_clash(one))
        .then(pl.lit(_CLASH))
        .when(one.str.contains(_OF_A_RULE))
        .then(one)
        .when(column.is_null() | _is_of_row(one))
        .then(one.str.replace_all(r"'.*'|\d+", "…"))
        .when(has_cell)
        .then(pl.format("{}: … {}", column, words))
        .otherwise(one)
    )


def _apart(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each reason of a row; text between that is no beginning of a reason belongs to the one before."""
    reason = pl.col("_reason")
    pieces = rows.with_columns(
        pl.when(_is_of_row(reason))
        .then(pl.concat_list("_reason"))
        .otherwise(reason.str.split(BETWEEN))
        .alias("_one")
    ).explode("_one")
    first = pl.int_range(pl.len()).over("_at") == 0
    starts = (first | pl.col("_one").str.contains(_STARTS)).cum_sum().alias("_start")
    return (
        pieces.with_columns(starts)
        .group_by("_start", maintain_order=True)
        .agg(pl.col("_one").str.join(BETWEEN), pl.exclude("_one").first())
    )
