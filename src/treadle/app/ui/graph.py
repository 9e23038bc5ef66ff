"""Graphs as layers of linked boxes: beside each other where there is room, below each other where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from treadle.app.ui.parts import mark
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element


@dataclass(frozen=True, kw_only=True)
class Box:
    """One thing in a graph."""

    #: What it is, as `run`.
    noun: str
    #: What it is called.
    name: str
    #: Where it leads; empty: nowhere.
    href: str = ""
    #: What is said of it, in a few words each.
    said: Sequence[str | Markup] = ()
    #: A label, and its kind: `good`, `warning`, `alert` or nothing.
    state: str = ""
    kind: str = ""


def graph(layers: Sequence[Sequence[Box]], *, label: str) -> Markup:
    """Return layers of boxes, each of which comes from those in the layer before it."""
    drawn = [element("li", *(_box(box) for box in layer)) for layer in layers if layer]
    return element("ol", *drawn, class_="graph", aria_label=label)


def told(text: str, *, longest: int) -> Markup:
    """Return a text of some length as a cell of a table, which is not squeezed where there is little room."""
    return element("span", words.shown(text, longest=longest), class_="told")


def _box(box: Box) -> Markup:
    name = element("bdi", words.shown(box.name, longest=90))
    return element(
        "div",
        element("p", box.noun, mark(box.state, box.kind) if box.state else None, class_="noun"),
        element("p", element("a", name, href=box.href) if box.href else name, class_="name"),
        *(element("p", one, class_="fine") for one in box.said if one),
        class_=f"node {box.kind}".strip(),
    )
