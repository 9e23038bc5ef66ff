"""The overview: one line for each column, and the words that its card uses as well."""

from __future__ import annotations

from collections.abc import Iterable

from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.parts import column_link, section, table
from treadle.data.profiles.records import ColumnProfile, Finding, Profile

_KINDS = {
    "int": "integer",
    "float": "number",
    "bool": "true/false",
    "str": "text",
    "datetime": "moment",
    "date": "day",
    "other": "other",
}
_MARKS = {"alert": "leak?", "warning": "check", "note": "note"}
_MOST_BARS = 60


def overview(found: Profile, anchors: Anchors) -> Markup:
    """Return one line for each column."""
    rows = [
        [
            joined([column_link(column.name, anchors), role_marks(column)]),
            kind_words(column),
            joined([charts.meter(column.missing), words.share(column.missing)]),
            distinct_words(column),
            _typical(column, found.sampled),
            _small_chart(column),
            _marks(found.findings, column.name),
        ]
        for column in found.columns
    ]
    heads = ["column", "type", "missing", "different", "typical", "distribution", "findings"]
    return section(
        "overview",
        "All columns",
        table(heads, rows, label="All columns", numeric=(2, 3), class_="overview", wide=True),
    )


def kind_words(column: ColumnProfile) -> str:
    """Write what a column's values are."""
    return _KINDS[column.kind] if column.kind != "other" else column.dtype


def role_marks(column: ColumnProfile) -> Markup:
    """Return a mark for each role of a column."""
    return joined(element("span", role, class_="role") for role in column.roles)


def distinct_words(column: ColumnProfile) -> str:
    """Write how many different values a column has, and whether that is exact."""
    return words.count(column.distinct) if column.distinct_exact else f"about {words.count(column.distinct)}"


def _typical(column: ColumnProfile, sampled: int) -> str:
    if column.quantiles:
        return f"median {words.number(column.quantiles['0.5'])}"
    if column.kind == "bool" and column.mean is not None:
        return f"{words.share(column.mean)} true"
    if column.top and sampled:
        value, rows = column.top[0]
        return joined([element("bdi", words.shown(value, longest=18)), f" {words.share(rows / sampled)}"])
    return "–"


def _small_chart(column: ColumnProfile) -> str:
    if column.histogram is not None:
        counts = column.histogram.counts
    elif column.top and column.top[0][1] > 1:
        counts = tuple(rows for _, rows in column.top)
    else:
        return ""
    label = f"Distribution of {column.name}; the numbers are in its card."
    return charts.bars(
        counts[:_MOST_BARS], label=label, titles=[""] * len(counts[:_MOST_BARS]), class_="bars small"
    )


def _marks(findings: Iterable[Finding], name: str) -> Markup:
    about = [finding for finding in findings if finding.column == name]
    kinds = dict.fromkeys(_MARKS[finding.level] for finding in about)
    levels = {text: level for level, text in _MARKS.items()}
    return joined(element("span", text, class_=f"mark {levels[text]}") for text in kinds)
