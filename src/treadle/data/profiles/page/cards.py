"""The cards: one for each column, that can be linked to."""

from __future__ import annotations

from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.distributions import distribution
from treadle.data.profiles.page.facts import facts_table, quantiles
from treadle.data.profiles.page.markup import Anchors, Markup, element
from treadle.data.profiles.page.overview import kind_words, role_marks
from treadle.data.profiles.page.parts import section
from treadle.data.profiles.page.times import trend_axis, trend_table
from treadle.data.profiles.records import Change, ColumnProfile, Coverage, Profile


def cards(found: Profile, anchors: Anchors) -> Markup:
    """Return a card for each column."""
    before = {column.name: column for column in found.comparison.before.columns} if found.comparison else {}
    changed = {change.column: change for change in found.comparison.changes} if found.comparison else {}
    made = [
        _card(
            column,
            found,
            address=anchors[column.name],
            before=before.get(column.name),
            change=changed.get(column.name),
        )
        for column in found.columns
    ]
    return section("columns", "Column by column", element("div", *made, class_="cards"))


def _card(
    column: ColumnProfile,
    found: Profile,
    *,
    address: str,
    before: ColumnProfile | None,
    change: Change | None,
) -> Markup:
    # How far it changed is told below, with the numbers.
    about = [one for one in found.findings if one.column == column.name and one.kind != "changed"]
    chart, chart_table = distribution(column, found, before)
    trend = _trend(column, found.coverage, before)
    name = element("a", element("bdi", words.shown(column.name)), href=f"#{address}")
    return element(
        "article",
        element(
            "header",
            element("h3", name, id=f"{address}-name"),
            element("span", kind_words(column), class_="type", title=column.dtype),
            role_marks(column),
        ),
        element("ul", *(element("li", one.text, class_=one.level) for one in about), class_="said")
        if about
        else None,
        chart,
        facts_table(column, before, found),
        quantiles(column, before, found) if column.distinct > 1 else None,
        _changed(change, found),
        trend,
        chart_table,
        trend_table(column, found.coverage) if trend is not None and found.coverage is not None else None,
        id=address,
        class_="card",
        tabindex="-1",
        aria_labelledby=f"{address}-name",
    )


def _changed(change: Change | None, found: Profile) -> Markup | None:
    if change is None or found.comparison is None or change.verdict == "chance":
        return None
    text = (
        f"Rows after version {found.comparison.before.version}: {'clearly' if change.verdict == 'clear' else 'slightly'} "
        f"different, distance {change.distance:.3f} (chance stays below {change.floor:.3f})."
    )
    return element("p", element("a", text, href="#changes"), class_=f"change {change.verdict}")


def _trend(column: ColumnProfile, coverage: Coverage | None, before: ColumnProfile | None) -> Markup | None:
    """Return how the column moves over time."""
    known = [value for value in column.trend if value is not None]
    if coverage is None or len(known) < 3 or column.distinct <= 1:
        return None
    share = column.kind in {"bool", "str"}
    what = (
        "mean"
        if not share
        else "share that is true"
        if column.kind == "bool"
        else f"share of {words.shown(column.top[0][0], longest=20)}"
    )
    written = words.share if share else words.number
    low, high = written(min(known)), written(max(known))
    label = f"{column.name} over time, {what}: between {low} and {high}."
    other = before.trend if before is not None else ()
    return element(
        "figure",
        element("figcaption", f"{what} over time: {low} to {high}"),
        charts.line(column.trend, other=other, label=label),
        trend_axis(coverage, labels=2),
        class_="trend",
    )
