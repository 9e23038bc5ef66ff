"""The page itself: puts the sections together in one file that loads nothing, runs nothing and sends nothing."""

from __future__ import annotations

from treadle.data.profiles import words
from treadle.data.profiles.page.cards import cards
from treadle.data.profiles.page.differences import differences
from treadle.data.profiles.page.document import document
from treadle.data.profiles.page.leaks import leaks
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.overview import overview
from treadle.data.profiles.page.pairs import pairs
from treadle.data.profiles.page.times import times
from treadle.data.profiles.page.top import about, first_look, header
from treadle.data.profiles.records import Profile

_SECTIONS = {
    "first": "Look at this first",
    "leakage": "Leakage",
    "changes": "Changes",
    "time": "Time",
    "overview": "All columns",
    "associations": "Which go together",
    "columns": "Column by column",
    "about": "How it was made",
}


def page(found: Profile) -> str:
    """Return a profile as an HTML document that needs no other file."""
    anchors = Anchors(column.name for column in found.columns)
    sections = {
        "first": first_look(found, anchors),
        "leakage": leaks(found, anchors),
        "changes": differences(found, anchors),
        "time": times(found, anchors),
        "overview": overview(found, anchors),
        "associations": pairs(found, anchors),
        "columns": cards(found, anchors),
        "about": about(found),
    }
    there = {name: section for name, section in sections.items() if section is not None}
    body = element(
        "body",
        element("a", "To the contents", href="#main", class_="skip"),
        element(
            "div",
            _contents(found, list(there), anchors),
            element("main", header(found), *there.values(), id="main", tabindex="-1"),
            class_="layout",
        ),
    )
    title = f"{found.dataset or 'Rows'}, version {found.version}: profile" if found.version else "Profile"
    return document(body, title=title)


def _contents(found: Profile, sections: list[str], anchors: Anchors) -> Markup:
    """Return the links to sections and columns; columns with findings are marked."""
    levels = {one.column: one.level for one in reversed(found.findings) if one.column}
    columns = [
        element(
            "li",
            element(
                "a", element("bdi", words.shown(column.name, longest=28)), href=f"#{anchors[column.name]}"
            ),
            class_=levels.get(column.name),
        )
        for column in found.columns
    ]
    links = [element("li", element("a", _SECTIONS[name], href=f"#{name}")) for name in sections]
    inside = joined(
        [
            element("ul", *links),
            element("p", words.plural(len(columns), "column")),
            element("ul", *columns, class_="names"),
        ]
    )
    return element(
        "nav",
        element("details", element("summary", "Contents"), inside, class_="narrow"),
        element("div", inside, class_="wide"),
        aria_label="Contents",
    )
