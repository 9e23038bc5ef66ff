"""Rows against a contract: the good ones typed, the bad ones with every reason."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from treadle.core.errors import ContractBroken, closest
from treadle.data.contracts import ContractSpec
from treadle.data.limits import limits
from treadle.data.quarantine import BETWEEN, NOT_A_ROW, as_text, quarantined
from treadle.data.quarantine import QUARANTINE as QUARANTINE
from treadle.data.quarantine import as_json as as_json
from treadle.data.raw import Form, Raw
from treadle.data.types import EXPECTED, Kind, convert, without_nan

_NUMBER = r"^-?\d+(\.\d+)?$"
_NO_EPOCH = ": a number of seconds or milliseconds is not read as a moment: land it as text, or declare the column int"


@dataclass(frozen=True)
class Checked:
    """Rows after the check; every row is in exactly one of the two."""

    #: The contract's columns, then `_file` and `_row`.
    good: pl.DataFrame
    #: `_reason`, `_file`, `_row` and `_raw`: the row as it landed, as JSON text.
    bad: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One way in which some rows are bad."""

    #: Which rows, of shape (rows,), without nulls.
    mask: pl.Series
    #: The reason in words; `{}` stands for the cell.
    words: str
    #: The column of that cell, and whether it is told as it landed (or typed).
    column: str = ""
    as_landed: bool = False
    #: Where the mask is that of several limits: what is true for rows that keep this one.
    good: pl.Expr | None = None


@dataclass(frozen=True)
class _Rows:
    """The same rows three times: as they landed, typed, and where they stood."""

    landed: pl.DataFrame
    typed: pl.DataFrame
    places: pl.DataFrame

    def gather(self, wanted: pl.Series) -> _Rows:
        return _Rows(self.landed[wanted], self.typed[wanted], self.places[wanted])


def check(
    raw: Raw,
    spec: ContractSpec,
    *,
    rules: Mapping[str, pl.Expr],
    needed: Sequence[str] = (),
) -> Checked:
    """Divide rows into good and bad ones.

    `needed` names columns (key, time) that must have a value whatever the contract says.

    Raises:
        ContractBroken: a column is missing or unknown, so no row can be judged, or a rule cannot be computed.
    """
    landed = _columns(raw, spec)
    places = raw.places
    broken = _broken(raw, landed, places)
    if raw.broken:
        whole = ~places["_row"].is_in(list(raw.broken))
        landed, places = landed.filter(whole), places.filter(whole)
    rows = _Rows(landed, _typed(raw, landed, spec), places)
    findings = [*_missing(rows, spec, needed), *_mistyped(rows, spec), *_limited(rows, spec, rules)]
    if not findings:
        return Checked(rows.typed.hstack(places), broken)
    bad = functools.reduce(operator.or_, (finding.mask for finding in findings))
    told = _told(rows, findings, bad=bad, mixed=raw.mixed)
    told = told if broken.is_empty() else pl.concat([told, broken]).sort("_row", maintain_order=True)
    return Checked(rows.typed.hstack(places).filter(~bad), told)


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
    counts = rows.select(test.not_().sum().alias(str(i)) for i, test in enumerate(tests.values()))
    return [
        f"{words} in {n} stored rows" for words, n in zip(tests, counts.collect().row(0), strict=True) if n
    ]


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
    return pl.DataFrame([without_nan(frame[name]) for name in frame.columns])


def _broken(raw: Raw, landed: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that could not be split into cells, as quarantined rows."""
    if not raw.broken:
        return pl.DataFrame(schema=QUARANTINE)
    is_broken = places["_row"].is_in(list(raw.broken))
    where = places.filter(is_broken)
    reasons = pl.Series([NOT_A_ROW + raw.broken[row].removeprefix(NOT_A_ROW) for row in where["_row"]])
    return quarantined(landed.filter(is_broken), reasons, places=where, mixed=raw.mixed)


def _typed(raw: Raw, landed: pl.DataFrame, spec: ContractSpec) -> pl.DataFrame:
    return pl.DataFrame(
        [
            _cells(landed[column.name], column.kind, form=raw.form, mixed=column.name in raw.mixed)
            for column in spec.columns
        ]
    )


def _cells(cells: pl.Series, kind: Kind, *, form: Form, mixed: bool) -> pl.Series:
    """Return typed cells; those of a mixed column are JSON texts, where only a string has quotes."""
    if not mixed:
        return convert(cells, kind, form=form)
    if kind in {"int", "float", "bool", "vector"}:
        return convert(cells, kind, form="text")
    quoted = pl.when(pl.lit(cells).str.starts_with('"')).then(pl.lit(cells))
    return convert(
        pl.select(quoted.str.json_decode(pl.String())).to_series().alias(cells.name), kind, form=form
    )


def _missing(rows: _Rows, spec: ContractSpec, needed: Sequence[str]) -> Iterator[Finding]:
    for column in spec.columns:
        cells = rows.landed[column.name]
        if cells.null_count() and (not column.nullable or column.name in needed):
            say = "is the key or time, and has no value" if column.name in needed else "has no value"
            yield Finding(mask=cells.is_null(), words=f"{column.name}: {say}")


def _mistyped(rows: _Rows, spec: ContractSpec) -> Iterator[Finding]:
    for column in spec.columns:
        before, after = rows.landed[column.name], rows.typed[column.name]
        if after.null_count() == before.null_count():
            continue
        wrong = after.is_null() & before.is_not_null()
        hint = "" if before.dtype == pl.String else f" (the file has the type {before.dtype})"
        words = f"{column.name}: {{}} is not {EXPECTED[column.kind]}{hint}"
        if column.kind != "datetime":
            yield Finding(mask=wrong, words=words, column=column.name, as_landed=True)
            continue
        numbers = before.cast(pl.String, strict=False).str.contains(_NUMBER).fill_null(value=False)
        for mask, more in ((wrong & ~numbers, ""), (wrong & numbers, _NO_EPOCH)):
            if mask.any():
                yield Finding(mask=mask, words=words + more, column=column.name, as_landed=True)


def _limited(rows: _Rows, spec: ContractSpec, rules: Mapping[str, pl.Expr]) -> Iterator[Finding]:
    """Look at limits and rules in one pass, with all of a column's limits together."""
    found = {column.name: some for column in spec.columns if (some := limits(column))}
    together = [functools.reduce(operator.and_, (good for good, _ in some)) for some in found.values()]
    passed = _passed(rows.typed, [*together, *(rules[rule.name] for rule in spec.rules)], spec, rules)
    for name, good in zip(found, passed[: len(found)], strict=True):
        if (mask := _failed(good)) is not None:
            for kept, words in found[name]:
                yield Finding(mask=mask, words=f"{name}: {{}} {words}", column=name, good=kept)
    for rule, good in zip(spec.rules, passed[len(found) :], strict=True):
        if (mask := _failed(good)) is not None:
            yield Finding(mask=mask, words=f"rule {rule.name}: {rule.text}")


def _passed(
    typed: pl.DataFrame, tests: Sequence[pl.Expr], spec: ContractSpec, rules: Mapping[str, pl.Expr]
) -> list[pl.Series]:
    """Return for each test which rows pass it; null where a value is missing."""
    if not tests:
        return []
    named = {str(i): test for i, test in enumerate(tests)}
    try:
        # Not `select`: a rule may be one value for all rows.
        return typed.with_columns(**named).select(*named).get_columns()
    except pl.exceptions.PolarsError as error:
        for rule in spec.rules:
            try:
                typed.select(rules[rule.name])
            except pl.exceptions.PolarsError as wrong:
                msg = f"The rule {rule.name!r} of the contract {spec.name!r} cannot be computed: {wrong}"
                raise ContractBroken(msg) from error
        raise


def _failed(good: pl.Series) -> pl.Series | None:
    """Return which rows fail a test, or None where none does."""
    if good.cast(pl.Boolean).all():
        return None
    return good.not_().fill_null(value=False)


def _told(
    rows: _Rows, findings: Sequence[Finding], *, bad: pl.Series, mixed: Collection[str]
) -> pl.DataFrame:
    """Return the bad rows as quarantined rows, each with all its reasons."""
    wanted = bad.arg_true()
    rows = rows.gather(wanted)
    reasons = [
        pl.when(_kept(finding, rows, wanted).not_()).then(_reason(finding, rows)) for finding in findings
    ]
    joined = pl.select(pl.concat_str(reasons, separator=BETWEEN, ignore_nulls=True)).to_series()
    return quarantined(rows.landed, joined, places=rows.places, mixed=mixed)


def _kept(finding: Finding, rows: _Rows, wanted: pl.Series) -> pl.Expr:
    """Return which of the bad rows have not this reason."""
    if finding.good is None:
        return pl.lit(finding.mask[wanted].not_())
    return pl.lit(rows.typed.select(finding.good).to_series().fill_null(value=True))


def _reason(finding: Finding, rows: _Rows) -> pl.Expr:
    if not finding.column:
        return pl.lit(finding.words)
    cells = (rows.landed if finding.as_landed else rows.typed)[finding.column]
    before, _, after = finding.words.partition("{}")
    return pl.concat_str(pl.lit(before), pl.lit(as_text(cells)), pl.lit(after))
