"""Signs in one column that its values are not what they seem: constants, placeholders, dates of no day, numbers as text."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from treadle.data.profiles import words
from treadle.data.profiles.columns import numbers
from treadle.data.profiles.records import ColumnProfile, Finding, Profile

_MUCH_MISSING = 0.5
_SOME_MISSING = 0.2
_NEARLY_ALL = 0.995
_OWN_VALUE = 0.95
_MANY = 1_000
_LEAST_ROWS = 100
#: Numbers that stand for "no value" in many systems.
_STAND_INS = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0)
_PLACEHOLDERS = {
    "na",
    "n/a",
    "nan",
    "null",
    "none",
    "nil",
    "?",
    "-",
    "--",
    "",
    "unknown",
    "missing",
    "not available",
    "#n/a",
}
_STAND_IN_SHARE = 0.001
_TEXT_LENGTH = 40
#: Moments that programs write when they have none, by what wrote them.
_NO_DAYS = ("1900-01-01", "1970-01-01", "1899-12-30", "0001-01-01", "9999-12-31")
_NEAR_DAYS = 30
_EARLIEST, _LATEST = 1900, 2100


def signs(column: ColumnProfile, values: pl.Series, found: Profile) -> Iterator[Finding]:
    """Return what is suspicious about one column; `values` are its sampled rows."""
    if column.missing == 1.0:
        yield _finding("warning", "all-missing", column, "has no value in any row.")
        return
    # What is known later is missing until then.
    if not {"outcome", "arrived"}.intersection(column.roles):
        yield from _emptiness(column, found)
        yield from _variety(column, found)
    known = values.drop_nulls()
    if column.kind in {"int", "float"}:
        yield from _stand_ins(column, known)
        yield from _far_out(column)
    if column.kind in {"date", "datetime"}:
        yield from _no_days(column, known)
    if column.kind == "str":
        yield from _placeholders(column, known)
        yield from _spellings(column, known)
        yield from _numbers_as_text(column, known)


def _finding(level: str, kind: str, column: ColumnProfile, text: str) -> Finding:
    return Finding(level=level, kind=kind, column=column.name, text=text)  # type: ignore[arg-type]


def _emptiness(column: ColumnProfile, found: Profile) -> Iterator[Finding]:
    if column.missing >= _SOME_MISSING:
        level = "warning" if column.missing >= _MUCH_MISSING else "note"
        yield _finding(
            level, "missing", column, f"has no value in {words.share(column.missing)} of the rows."
        )
    run = _empty_stretches(column)
    if run is not None and found.coverage is not None:
        first, last = (
            words.moment(found.coverage.trend_starts[at], every=found.coverage.trend_every) for at in run
        )
        span = f"in the stretch from {first}" if first == last else f"from {first} to the stretch of {last}"
        text = f"has no value at all {span}, and {words.share(column.missing)} missing over all."
        yield _finding("warning", "missing-stretch", column, text)


def _empty_stretches(column: ColumnProfile) -> tuple[int, int] | None:
    """Return the first and last place of the longest run of stretches without any value, in a column that has most."""
    known = [share for share in column.missing_trend if share is not None]
    if len(known) < 3 or float(np.median(known)) > _SOME_MISSING:
        return None
    best: tuple[int, int] | None = None
    start = None
    for place, share in enumerate((*column.missing_trend, 0.0)):
        if share == 1.0 and start is None:
            start = place
        elif share != 1.0 and start is not None:
            if best is None or place - 1 - start > best[1] - best[0]:
                best = (start, place - 1)
            start = None
    return best


def _variety(column: ColumnProfile, found: Profile) -> Iterator[Finding]:
    rows = found.rows - column.missing_rows
    if column.distinct == 1:
        what = "the same value in all rows" if not column.missing else "one value, or none"
        yield _finding("warning", "constant", column, f"has {what}: nothing can be learned from it.")
        return
    if column.top and found.sampled:
        value, count = column.top[0]
        if count / found.sampled >= _NEARLY_ALL:
            text = f"is {words.shown(value)} in {words.share(count / found.sampled)} of the rows."
            yield _finding("note", "nearly-constant", column, text)
    if "key" in column.roles or column.kind not in {"str", "int"} or rows < _LEAST_ROWS:
        return
    if column.distinct >= _OWN_VALUE * rows and not _is_prose(column):
        text = f"has nearly as many values as rows ({words.count(column.distinct)}): as an input it only names rows."
        yield _finding("note", "identifier", column, text)
    elif column.kind == "str" and column.distinct > _MANY and not _is_prose(column):
        text = f"has {words.count(column.distinct)} different values: many models cannot use so many categories as they are."
        yield _finding("note", "many-values", column, text)


def _is_prose(column: ColumnProfile) -> bool:
    return column.lengths is not None and column.lengths.mean > _TEXT_LENGTH


def _stand_ins(column: ColumnProfile, known: pl.Series) -> Iterator[Finding]:
    """Tell of an extreme like -999 that stands alone, far from the other values, and occurs often."""
    extremes = [one for one in (column.min, column.max) if one in _STAND_INS and column.min != column.max]
    values = numbers(known) if extremes else np.empty(0)
    for extreme in extremes:
        others = values[values != extreme]
        rows = len(values) - len(others)
        if len(others) < _LEAST_ROWS or rows < _STAND_IN_SHARE * len(values):
            continue
        low, high = np.quantile(others, (0.01, 0.99))
        nearest = float(np.min(np.abs(others - float(extreme or 0))))
        if nearest > max(high - low, 1.0):
            share = words.share(rows / len(values))
            text = f"is {words.number(float(extreme or 0))} in {share} of the rows, far from all others: does that mean no value?"
            yield _finding("warning", "stand-in", column, text)


def _far_out(column: ColumnProfile) -> Iterator[Finding]:
    if column.skew is None or not isinstance(column.min, float) or not isinstance(column.max, float):
        return
    low, middle, high = (column.quantiles[share] for share in ("0.01", "0.5", "0.99"))
    if abs(column.skew) < 3 or high <= low:
        return
    above = column.max - high > 3 * (high - middle)
    below = low - column.min > 3 * (middle - low)
    if above and column.skew > 0:
        text = f"has a long tail: 1 % of the values lie above {words.number(high)}, the greatest is {words.number(column.max)}."
        yield _finding("note", "skewed", column, text)
    elif below and column.skew < 0:
        text = f"has a long tail: 1 % of the values lie below {words.number(low)}, the least is {words.number(column.min)}."
        yield _finding("note", "skewed", column, text)


def _no_days(column: ColumnProfile, known: pl.Series) -> Iterator[Finding]:
    if known.is_empty():
        return
    days = known.cast(pl.Date).dt.epoch("d").to_numpy()
    for day in _NO_DAYS:
        apart = np.abs(days - np.datetime64(day).astype(int))
        rows, near = int(np.sum(apart == 0)), int(np.sum((apart > 0) & (apart <= _NEAR_DAYS)))
        # A day among others of its month is a day like them.
        if rows >= max(5, _STAND_IN_SHARE * len(known)) and near < rows < len(known):
            text = f"is {day} in {words.plural(rows, 'row')}: a day that programs write when they have none."
            yield _finding("warning", "no-day", column, text)
    for edge, value, word in ((_EARLIEST, column.min, "before"), (_LATEST, column.max, "after")):
        year = int(str(value)[:4]) if value is not None else edge
        if (word == "before" and year < edge) or (word == "after" and year >= edge):
            text = f"reaches {word} the year {edge}: {str(value)[:10]}."
            yield _finding("warning", "strange-year", column, text)


def _placeholders(column: ColumnProfile, known: pl.Series) -> Iterator[Finding]:
    words_used = known.cast(pl.String).str.strip_chars().str.to_lowercase()
    rows = int(words_used.is_in(sorted(_PLACEHOLDERS)).sum())
    if rows and rows >= _STAND_IN_SHARE * len(known):
        value = next((v for v, _ in column.top if v.strip().lower() in _PLACEHOLDERS), None)
        example = f", as {words.shown(value)!r}" if value is not None else ""
        text = f"holds a word that means no value in {words.share(rows / len(known))} of the rows{example}."
        yield _finding("warning", "placeholder", column, text)


def _spellings(column: ColumnProfile, known: pl.Series) -> Iterator[Finding]:
    if not 1 < column.distinct <= _MANY:
        return
    spelled = known.cast(pl.String).unique()
    same = spelled.to_frame("value").group_by(
        pl.col("value").str.strip_chars().str.to_lowercase().alias("plain")
    )
    several = same.agg(pl.col("value").sort()).filter(pl.col("value").list.len() > 1).sort("plain")
    if several.height:
        example = " and ".join(
            repr(words.shown(value, longest=20)) for value in several["value"][0].to_list()[:2]
        )
        text = (
            f"has {words.plural(several.height, 'value')} in several spellings (capitals, spaces): {example}."
        )
        yield _finding("note", "spelling", column, text)


def _numbers_as_text(column: ColumnProfile, known: pl.Series) -> Iterator[Finding]:
    """Tell of text that is numbers throughout; codes such as 007 are not."""
    if column.distinct < 3 or len(known) < _LEAST_ROWS or "key" in column.roles:
        return
    text = known.cast(pl.String).str.strip_chars()
    if text.cast(pl.Float64, strict=False).null_count() == 0 and not text.str.contains(r"^[-+]?0\d").any():
        yield _finding("note", "number-as-text", column, "is text and holds nothing but numbers.")
