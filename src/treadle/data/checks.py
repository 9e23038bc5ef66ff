"""Rows against a contract: the good ones typed, the bad ones with every reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from treadle.core.errors import ContractBroken, closest
from treadle.data.contracts import Bound, ColumnSpec, ContractSpec
from treadle.data.raw import Form, Raw
from treadle.data.types import DTYPES, EXPECTED, Kind, convert, without_nan

#: Columns of quarantined rows.
QUARANTINE = {"_reason": pl.String(), "_file": pl.String(), "_row": pl.Int64(), "_raw": pl.String()}
_LISTED = 8
_NUMBER = r"^-?\d+(\.\d+)?$"
_NO_EPOCH = "; a number of seconds or milliseconds is not read as a moment: land it as text, or declare the column int"


@dataclass(frozen=True)
class Checked:
    """The rows of one file after the check; every row is in exactly one of the two."""

    #: The contract's columns, then `_file` and `_row`.
    good: pl.DataFrame
    #: `_reason`, `_file`, `_row` and `_raw`: the row as it landed, as JSON text.
    bad: pl.DataFrame


@dataclass(frozen=True)
class Finding:
    """One way in which some rows are bad."""

    #: Which rows, of shape (rows,), without nulls.
    mask: pl.Series
    #: The reason in words, for each row.
    reason: pl.Expr


def check(
    raw: Raw, spec: ContractSpec, *, rules: Mapping[str, pl.Expr], needed: Sequence[str] = ()
) -> Checked:
    """Divide the rows of a file into good and bad ones.

    `needed` names columns (key, time) that must have a value whatever the contract says.

    Raises:
        ContractBroken: a column is missing or unknown, so no row can be judged.
    """
    landed = _columns(raw, spec).with_row_index("_row", offset=1).cast({"_row": pl.Int64})
    broken = pl.DataFrame(
        {"_row": list(raw.broken), "_reason": list(raw.broken.values())},
        schema={"_row": pl.Int64(), "_reason": pl.String()},
    )
    whole = landed if not raw.broken else landed.join(broken, on="_row", how="anti", maintain_order="left")
    cells = whole.select(spec.names)
    typed = pl.DataFrame(
        [
            _typed(cells[column.name], column.kind, form=raw.form, mixed=column.name in raw.mixed)
            for column in spec.columns
        ]
    )
    findings = [
        *_missing(cells, spec, needed=needed),
        *_mistyped(cells, typed, spec),
        *_limited(typed, spec),
        *_ruled(typed, spec, rules),
    ]
    good = typed.with_columns(pl.lit(raw.file).alias("_file"), whole["_row"])
    if not findings and not raw.broken:
        return Checked(good, pl.DataFrame(schema=QUARANTINE))
    reasons = _reasons(findings, cells)
    bad = whole.select("_row").with_columns(reasons.alias("_reason")).filter(reasons.is_not_null())
    return Checked(good.filter(reasons.is_null()), _quarantined(landed, pl.concat([bad, broken]), raw.file))


def _columns(raw: Raw, spec: ContractSpec) -> pl.DataFrame:
    """Return the landed columns, those left out by JSON lines as nulls."""
    frame = raw.frame
    extra = [name for name in frame.columns if name not in spec.names]
    if extra:
        msg = (
            f"Unknown column {extra[0]!r}. {closest(extra[0], spec.names)} "
            f"Declare it in the contract {spec.name!r}, or take it out of the file."
        )
        raise ContractBroken(msg)
    missing = [name for name in spec.names if name not in frame.columns]
    fatal = [name for name in missing if not (raw.may_omit and spec.column(name).nullable)]
    if fatal:
        msg = (
            f"Missing column {fatal[0]!r}. The file has: {', '.join(frame.columns) or 'no columns'}; the contract "
            f"{spec.name!r} expects: {', '.join(spec.names)}."
        )
        raise ContractBroken(msg)
    frame = frame.with_columns(pl.lit(None).alias(name) for name in missing)
    return frame.with_columns(without_nan(frame[name]) for name in frame.columns)


def _typed(cells: pl.Series, kind: Kind, *, form: Form, mixed: bool) -> pl.Series:
    """Return typed cells; those of a mixed column are JSON texts, where only a string has quotes."""
    if not mixed:
        return convert(cells, kind, form=form)
    if kind in {"int", "float", "bool"}:
        return convert(cells, kind, form="text")
    quoted = pl.when(pl.lit(cells).str.starts_with('"')).then(pl.lit(cells))
    return convert(
        pl.select(quoted.str.json_decode(pl.String())).to_series().alias(cells.name), kind, form=form
    )


def _mistyped(cells: pl.DataFrame, typed: pl.DataFrame, spec: ContractSpec) -> list[Finding]:
    found = []
    for column in spec.columns:
        before, after = cells[column.name], typed[column.name]
        if after.null_count() > before.null_count():
            said = _say(f"{column.name}: {{}} is not {EXPECTED[column.kind]}", before)
            reason = pl.concat_str(said, _hint(before, column.kind))
            found.append(Finding(after.is_null() & before.is_not_null(), reason))
    return found


def _hint(cells: pl.Series, kind: Kind) -> pl.Expr:
    """Return what else to say of each cell that has the wrong type."""
    hint = pl.lit("" if cells.dtype == pl.String else f" (the file has the type {cells.dtype})")
    if kind != "datetime":
        return hint
    is_number = pl.lit(cells.cast(pl.String, strict=False)).str.contains(_NUMBER)
    return pl.when(is_number).then(pl.concat_str(hint, pl.lit(_NO_EPOCH))).otherwise(hint)


def failures(rows: pl.LazyFrame, spec: ContractSpec, *, rules: Mapping[str, pl.Expr]) -> list[str]:
    """Return in words how many stored rows break each demand of a contract; columns that are not stored are passed over."""
    there = set(rows.collect_schema().names())
    tests: dict[str, pl.Expr] = {}
    for column in spec.columns:
        if column.name not in there:
            continue
        if not column.nullable:
            tests[f"column {column.name!r} has no value"] = pl.col(column.name).is_not_null()
        for good, words in limits(column):
            tests[f"column {column.name!r} {words}"] = good
    for rule in spec.rules:
        if there >= set(rules[rule.name].meta.root_names()):
            tests[f"rule {rule.name!r} ({rule.text}) does not hold"] = rules[rule.name]
    if not tests:
        return []
    counts = rows.select(
        test.not_().fill_null(value=False).sum().alias(str(i)) for i, test in enumerate(tests.values())
    )
    return [
        f"{words} in {n} stored rows" for words, n in zip(tests, counts.collect().row(0), strict=True) if n
    ]


def _missing(cells: pl.DataFrame, spec: ContractSpec, *, needed: Sequence[str]) -> list[Finding]:
    found = []
    for column in spec.columns:
        nulls = cells[column.name]
        if nulls.null_count() and (not column.nullable or column.name in needed):
            say = "is the key or time, and has no value" if column.name in needed else "has no value"
            found.append(Finding(nulls.is_null(), pl.lit(f"{column.name}: {say}")))
    return found


def limits(column: ColumnSpec) -> list[tuple[pl.Expr, str]]:
    """Return for each limit of a column the expression that is true for good cells, and what to say of the others."""
    cell, kind, found = pl.col(column.name), column.kind, []
    for bound, test, words in (
        (column.ge, pl.Expr.ge, "is below"),
        (column.gt, pl.Expr.gt, "is not above"),
        (column.le, pl.Expr.le, "is above"),
        (column.lt, pl.Expr.lt, "is not below"),
    ):
        if bound is not None:
            found.append((test(cell, _literal(bound, kind)), f"{words} {bound}"))
    if column.allowed is not None:
        values = pl.Series([_python(value, kind) for value in column.allowed], dtype=DTYPES[kind])
        found.append((cell.is_in(values.implode()), f"is not one of {_some(column.allowed)}"))
    if column.pattern is not None:
        found.append((cell.str.contains(f"^(?:{column.pattern})$"), f"does not match {column.pattern}"))
    if column.min_length is not None:
        found.append(
            (cell.str.len_chars() >= column.min_length, f"has fewer than {column.min_length} characters")
        )
    if column.max_length is not None:
        found.append(
            (cell.str.len_chars() <= column.max_length, f"has more than {column.max_length} characters")
        )
    return found


def _limited(typed: pl.DataFrame, spec: ContractSpec) -> list[Finding]:
    tests = [(column.name, good, words) for column in spec.columns for good, words in limits(column)]
    broken = _failing(typed, [good for _, good, _ in tests])
    return [
        Finding(mask, _say(f"{name}: {{}} {words}", typed[name]))
        for mask, (name, _, words) in zip(broken, tests, strict=True)
        if mask is not None
    ]


def _ruled(typed: pl.DataFrame, spec: ContractSpec, rules: Mapping[str, pl.Expr]) -> list[Finding]:
    masks = _failing(typed, [rules[rule.name] for rule in spec.rules])
    return [
        Finding(mask, pl.lit(f"rule {rule.name}: {rule.text}"))
        for mask, rule in zip(masks, spec.rules, strict=True)
        if mask is not None
    ]


def _failing(typed: pl.DataFrame, good: Sequence[pl.Expr]) -> list[pl.Series | None]:
    """Return for each test which rows fail it, or None where none does; rows are looked at again only where one does."""
    if not good:
        return []
    bad = [test.not_().fill_null(value=False).alias(str(i)) for i, test in enumerate(good)]
    counts = typed.select(test.sum() for test in bad).row(0)
    needed = [test for test, count in zip(bad, counts, strict=True) if count]
    masks = typed.select(needed) if needed else pl.DataFrame()
    return [masks[str(i)] if count else None for i, count in enumerate(counts)]


def _reasons(findings: Sequence[Finding], cells: pl.DataFrame) -> pl.Series:
    """Return all reasons of each row joined by `; `, or null for a good one."""
    if not findings:
        return pl.Series([None] * cells.height, dtype=pl.String)
    bad = findings[0].mask
    for finding in findings[1:]:
        bad = bad | finding.mask
    told = [pl.when(finding.mask).then(finding.reason) for finding in findings]
    joined = pl.concat_str(told, separator="; ", ignore_nulls=True)
    return pl.select(pl.when(bad).then(joined)).to_series()


def _quarantined(landed: pl.DataFrame, bad: pl.DataFrame, file: str) -> pl.DataFrame:
    rows = landed.join(bad, on="_row", how="inner", maintain_order="left")
    raw = rows.select(as_json(rows.drop("_row", "_reason")))
    return rows.select("_reason", pl.lit(file).alias("_file"), "_row", raw["_raw"])


def as_json(rows: pl.DataFrame) -> pl.Expr:
    """Return the expression for each row of a frame as JSON text, called `_raw`."""
    plain = [
        pl.lit(rows[name]) if _is_plain(dtype) else pl.lit(rows[name].cast(pl.String))
        for name, dtype in rows.schema.items()
    ]
    return pl.struct(plain).struct.json_encode().alias("_raw")


def _is_plain(dtype: pl.DataType) -> bool:
    return (
        dtype in {pl.String, pl.Boolean, pl.Null}
        or dtype.is_integer()
        or dtype.is_float()
        or dtype.is_nested()
    )


def _say(text: str, cells: pl.Series) -> pl.Expr:
    """Return the text with each cell in the place of `{}`; text cells in quotes."""
    shown = pl.lit(cells.cast(pl.String, strict=False))
    if cells.dtype == pl.String:
        shown = pl.concat_str(pl.lit("'"), shown.str.slice(0, 80), pl.lit("'"))
    before, _, after = text.partition("{}")
    return pl.concat_str(pl.lit(before), shown, pl.lit(after))


def _literal(bound: Bound, kind: Kind) -> pl.Expr:
    return pl.lit(_python(bound, kind), dtype=DTYPES[kind])


def _python(bound: Bound, kind: Kind) -> object:
    """Return a stored bound as the value that it stands for."""
    if kind in {"datetime", "date"}:
        return convert(pl.Series([str(bound)]), kind, form="text")[0]
    return bound


def _some(values: Sequence[Bound]) -> str:
    shown = ", ".join(map(str, values[:_LISTED]))
    return shown if len(values) <= _LISTED else f"{shown}, … ({len(values)} values)"
