"""The section on changes: how the rows that came after an earlier version differ from it, column by column."""

from __future__ import annotations

from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.parts import column_link, folded, note, section, table
from treadle.data.profiles.records import Change, Comparison, Profile

_VERDICTS = {"clear": "clear", "slight": "slight", "chance": "chance"}


def differences(found: Profile, anchors: Anchors) -> Markup | None:
    """Return the section; None where nothing is compared."""
    compared = found.comparison
    if compared is None:
        return None
    version = compared.before.version
    intro = element(
        "p",
        f"Version {found.version} has {words.plural(found.rows, 'row')}, version {version} {words.count(compared.before.rows)}; "
        f"{words.count(compared.rows_after)} came after version {version}, or were corrected after it. Measured is how far "
        f"those differ from version {version}: over all rows of version {found.version} the difference would be diluted.",
    )
    by = {
        verdict: [change for change in compared.changes if change.verdict == verdict] for verdict in _VERDICTS
    }
    parts = [intro, _columns(compared)]
    if not compared.changes:
        parts.append(note("Fewer than 50 rows on one side: too few to compare."))
    elif by["clear"]:
        parts.append(_table(by["clear"], version, anchors))
    elif by["slight"]:
        parts.append(element("p", "No column differs clearly."))
    else:
        parts.append(element("p", "No column differs by more than chance."))
    parts += [
        folded(f"{words.plural(len(by[verdict]), 'column')} {told}", _table(by[verdict], version, anchors))
        for verdict, told in (
            ("slight", "slightly different"),
            ("chance", "different by no more than chance"),
        )
        if by[verdict]
    ]
    moved = [*by["clear"], *by["slight"]]
    if moved:
        parts.append(
            folded("Every bin before and after, as tables", *(_bins(change, version) for change in moved))
        )
    parts.append(_explanation())
    return section("changes", f"What changed since version {version}", *parts)


def _columns(compared: Comparison) -> Markup | None:
    told = [
        f"{words.plural(len(names), 'column')} {what}: {', '.join(words.shown(name) for name in names)}."
        for names, what in ((compared.columns_added, "came"), (compared.columns_removed, "went"))
        if names
    ]
    return element("p", " ".join(told)) if told else None


def _table(listed: list[Change], version: int, anchors: Anchors) -> Markup:
    rows = [
        [
            column_link(change.column, anchors),
            element("span", _VERDICTS[change.verdict], class_=f"mark {change.verdict}"),
            joined([_scale(change), f"{change.distance:.3f}"]),
            f"{change.floor:.3f}",
            f"{change.psi:.3f}",
            f"{words.share(change.missing_before)} → {words.share(change.missing_after)}",
            _overlay(change, version),
        ]
        for change in listed
    ]
    heads = ["column", "difference", "distance", "chance", "PSI", "missing", "before (line) and after (bars)"]
    return table(
        heads, rows, label="Differences by column", numeric=(2, 3, 4, 5), class_="changes", wide=True
    )


def _scale(change: Change) -> Markup:
    width, floor = (100 * min(value, 1.0) for value in (change.distance, change.floor))
    return element(
        "span",
        element("span", style=f"width:{width:.2f}%"),
        element("i", style=f"left:{floor:.2f}%", title="as far as chance reaches"),
        class_=f"meter {change.verdict}",
        aria_hidden="true",
    )


def _overlay(change: Change, version: int) -> Markup:
    titles = [
        f"{words.shown(label)}: {words.share(before)} before, {words.share(after)} after"
        for label, before, after in zip(change.labels, change.before, change.after, strict=True)
    ]
    label = f"{change.column} after version {version} over {change.column} in it; as a table below."
    return charts.bars(change.after, label=label, titles=titles, line=change.before, class_="bars small wide")


def _bins(change: Change, version: int) -> Markup:
    rows = [
        [element("bdi", words.shown(label)), words.share(before), words.share(after)]
        for label, before, after in zip(change.labels, change.before, change.after, strict=True)
        if before or after
    ]
    shown = table(
        ["value", f"version {version}", "after it"],
        rows,
        label=f"{change.column} before and after",
        numeric=(1, 2),
    )
    return joined([element("h4", words.shown(change.column)), shown])


def _explanation() -> Markup:
    return folded(
        "How differences are measured",
        note(
            "Distance: Jensen and Shannon's, from 0 (equal) to 1 (nothing in common), over twenty bins of about as many rows, "
            "or the thirty commonest values; a missing value is one more. Chance: what the distance stays below if nothing "
            "changed, at 1 % over all columns together, if rows are independent; rows that come in clumps (a day, a customer) "
            "can exceed it. Clear: above that and at least 0.1. PSI: population stability index over the same bins. Keys, "
            "moments and outcomes that have not come yet are left out."
        ),
    )
