"""How two versions of a dataset differ: rows and columns that came, and how far each column's values moved."""

from __future__ import annotations

from collections.abc import Iterator

from treadle.app.ui.page import Seen
from treadle.app.ui.parts import empty, mark
from treadle.data.datasets import Difference
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section, table
from treadle.data.profiles.shifts import Distance, Distributions, Shift

#: Bins of a column that are told.
_BINS = 3
_COUNTS = ("landed", "accepted", "corrected", "deleted", "removed", "quarantined", "outcomes")


def differences(seen: Seen, name: str, *, newest: int) -> Markup:
    """Return the choice of two versions, and what happened from the one to the other."""
    after = _number(seen, "to", newest)
    before = _number(seen, "from", max(1, after - 1))
    asked = _asked(seen, before, after)
    if newest == 1:
        return empty("There is one version only: nothing to compare it with yet.")
    if before >= after:
        return joined([asked, element("p", "Choose an earlier version first, and a later one second.")])
    found = seen.workspace.datasets.difference(name, before, after=after)
    if seen.query.get("moved") == "yes":
        moved = _moved(seen.workspace.datasets.distributions(name, before, after=after))
    else:
        where = seen.link(**{"from": before}, to=after, moved="yes")
        told = note("This reads a sample of the rows of both versions.")
        link = element("a", "How far each column's values moved", href=where)
        moved = section("moved", "What moved", element("p", link), told)
    return joined([asked, _counts(found), moved, _files(found)])


def _number(seen: Seen, name: str, usual: int) -> int:
    text = seen.query.get(name, "")
    return int(text) if text.isdigit() and len(text) < 10 else usual


def _asked(seen: Seen, before: int, after: int) -> Markup:
    fields = [
        element(
            "label",
            element("span", told),
            element(
                "input", name=name, value=value, inputmode="numeric", pattern="[0-9]{1,9}", required=True
            ),
        )
        for told, name, value in (("From version", "from", before), ("to version", "to", after))
    ]
    return element(
        "form",
        element("input", type="hidden", name="tab", value="difference"),
        *fields,
        element("button", "Compare"),
        method="get",
        action=seen.address.partition("?")[0],
        class_="filters",
        role="search",
    )


def _counts(found: Difference) -> Markup:
    told = [(count, words.count(getattr(found, count))) for count in _COUNTS if getattr(found, count)]
    told.insert(0, ("rows", f"{words.count(found.rows_before)} → {words.count(found.rows_after)}"))
    new = (
        element("p", "New columns: ", words.shown(", ".join(found.columns), longest=400))
        if found.columns
        else None
    )
    return section("came", "What came", facts(told), new)


def _moved(found: Distributions) -> Markup:
    moved = found.moved
    if not moved:
        said = f"No column moved by more than chance explains, of {words.plural(len(found.shifts), 'column')} compared."
        return section("moved", "What moved", element("p", said))
    rows = [
        (
            element("code", element("bdi", words.shown(shift.column))),
            f"{shift.distance:.2f}",
            *_told(shift),
        )
        for shift in moved
    ]
    listed = table(
        ["column", "distance", "how", "where"], rows, label="Columns that moved", numeric=[1], wide=True
    )
    explained = note(
        "The distance is between 0 (the same) and 1 (nothing in common). Rows that came since are compared with those before, and "
        "the whole with the whole; what is told is more than chance explains."
    )
    return section("moved", "What moved", listed, explained)


def _told(shift: Shift) -> tuple[Markup, Markup]:
    how, where = [], []
    for what, one in (("what came", shift.came), ("as a whole", shift.whole)):
        if one is None or not one.is_moved:
            continue
        said = f"{what}: {one.distance:.2f}"
        if one.effect is not None:
            said += (
                f", mean {words.number(shift.mean_before)} to {words.number(one.mean)} ({one.effect:+.2f} sd)"
            )
        how.append(element("p", said))
        where += [element("p", text) for text in _bins(one)]
    return joined(how), joined(where[:_BINS])


def _bins(one: Distance) -> Iterator[str]:
    for cell in one.bins:
        yield f"{words.shown(cell.label)}: {words.share(cell.share_before)} to {words.share(cell.share)}"


def _files(found: Difference) -> Markup | str:
    if not found.files and not found.problems:
        return ""
    rows = [(words.shown(file, longest=200), mark("read", "good")) for file in found.files[:50]]
    rows += [(words.shown(problem, longest=300), mark("problem", "alert")) for problem in found.problems[:50]]
    more = f"The first of {len(found.files)} files." if len(found.files) > 50 else ""
    listed = table(["file", "what became of it"], rows, label="Files", wide=True)
    return section("files", "Files", listed, note(more) if more else None)
