"""The parts that every section uses: headings with addresses, tables, folded details, numbers with their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined


def section(address: str, heading: str, *children: str | None) -> Markup:
    """Return a section with a heading that links to itself."""
    return element(
        "section",
        element("h2", element("a", heading, href=f"#{address}"), id=f"{address}-heading"),
        *children,
        id=address,
        aria_labelledby=f"{address}-heading",
    )


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    label: str,
    numeric: Sequence[int] = (),
    class_: str | None = None,
    wide: bool = False,
) -> Markup:
    """Return a table that scrolls by itself where it is too wide; the first cell of each row names it.

    One that is often too wide can be reached by the keyboard to scroll it; were all of them, a page would have hundreds of stops.
    """
    head = element(
        "tr",
        *(element("th", text, scope="col", class_=_right(i, numeric)) for i, text in enumerate(headings)),
    )
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell, class_=_right(i, numeric)) for i, cell in enumerate(row[1:], start=1)),
        )
        for row in rows
    ]
    inside = element(
        "table", element("thead", head), element("tbody", *body), class_=class_, aria_label=label
    )
    return scrolling(inside, label=label) if wide else element("div", inside, class_="scroll")


def scrolling(inside: Markup, *, label: str) -> Markup:
    """Return something wide in a frame that can be scrolled by mouse, finger and keyboard."""
    return element("div", inside, class_="scroll", tabindex="0", role="region", aria_label=label)


def _right(place: int, numeric: Sequence[int]) -> str | None:
    return "n" if place in numeric else None


def folded(summary: str, *children: str | None, open_: bool = False) -> Markup:
    """Return details that are shown when they are asked for."""
    return element("details", element("summary", summary), *children, open=open_)


def facts(pairs: Iterable[tuple[str, str]], *, class_: str = "facts") -> Markup:
    """Return names with their values."""
    return element(
        "dl",
        *(element("div", element("dt", name), element("dd", value)) for name, value in pairs),
        class_=class_,
    )


def note(*children: str) -> Markup:
    """Return a line of small print."""
    return element("p", *children, class_="fine")


def column_link(name: str, anchors: Anchors) -> Markup:
    """Return a column's name as a link to its card; without one for a column that has none."""
    written = element("code", element("bdi", words.shown(name)))
    return element("a", written, href=f"#{anchors[name]}") if name in anchors else written


def sentences(texts: Iterable[str]) -> Markup:
    """Return several sentences as one paragraph."""
    return joined(" ".join(texts))
