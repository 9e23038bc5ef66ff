"""The card as a page: one file that loads nothing, runs nothing and sends nothing."""

from __future__ import annotations

from pathlib import Path

from treadle.app.card.inputs import goes_by
from treadle.app.card.limits import window_words
from treadle.app.card.making import data, lineage, making, package, signature
from treadle.app.card.measured import judged, named, scored, sliced
from treadle.app.card.plotted import plotted
from treadle.app.card.record import Card
from treadle.data.profiles import words
from treadle.data.profiles.page.document import document
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section
from treadle.loop.judging import CANDIDATE
from treadle.loop.rescoring import Score, baselines

_SECTIONS = {
    "gates": "Gates",
    "scores": "How good it is",
    "plots": "In pictures",
    "slices": "Slice by slice",
    "inputs": "What it goes by",
    "limits": "Known limits",
    "data": "Data",
    "aliases": "Who moved its aliases",
    "signature": "What it takes",
    "making": "How it was made",
    "lineage": "Where it comes from",
    "package": "The package",
}


def page(card: Card) -> str:
    """Return a card as an HTML document that needs no other file."""
    sections = {
        "gates": judged(card),
        "scores": scored(card),
        "plots": plotted(card),
        "slices": sliced(card),
        "inputs": goes_by(card),
        "limits": _limits(card),
        "data": data(card),
        "aliases": _aliases(card),
        "signature": signature(card),
        "making": making(card),
        "lineage": lineage(card),
        "package": package(card),
    }
    there = {name: parts for name, parts in sections.items() if parts}
    written = [section(name, _SECTIONS[name], *parts) for name, parts in there.items()]
    body = element(
        "body",
        element("a", "To the contents", href="#main", class_="skip"),
        element(
            "div",
            _contents(list(there)),
            element("main", _header(card), *written, id="main", tabindex="-1"),
            class_="layout",
        ),
    )
    title = f"{card.version.model}, version {card.version.version}: model card"
    return document(body, title=title, style=Path(__file__).with_name("page.css"))


def _contents(sections: list[str]) -> Markup:
    inside = element(
        "ul", *(element("li", element("a", _SECTIONS[name], href=f"#{name}")) for name in sections)
    )
    return element(
        "nav",
        element("details", element("summary", "Contents"), inside, class_="narrow"),
        element("div", inside, class_="wide"),
        aria_label="Contents",
    )


def _header(card: Card) -> Markup:
    version = card.version
    marks = [element("span", name, class_="role") for name in card.aliases]
    if card.run.status == "rejected":
        marks.append(element("span", "turned down", class_="mark alert"))
    if card.refused:
        marks.append(element("span", "does not load", class_="mark alert"))
    return element(
        "header",
        element("p", "Model card", class_="kicker"),
        element("h1", version.model, " ", element("small", f"version {version.version}")),
        element("p", joined(marks), class_="marks") if marks else None,
        *(element("p", text, class_="lead") for text in card.about.split("\n\n") if text),
        element(
            "p",
            _begun(card),
            class_="lead",
        ),
        facts(_tiles(card), class_="tiles"),
    )


def _begun(card: Card) -> str:
    version, origin = card.version, card.run.origin
    if origin is not None:
        told = words.shown(origin.told(), longest=200)
        return f"{told[:1].upper()}{told[1:]}, {words.moment(version.created_at)} UTC, in {version.run}."
    return (
        f"Made {words.moment(version.created_at)} UTC by {version.run}, from rows of {version.dataset} "
        f"{window_words(version.window)}."
    )


def _tiles(card: Card) -> list[tuple[str, str]]:
    tiles = []
    own = _score(card, CANDIDATE, on="test")
    if own is not None:
        tiles.append((f"{own.metric} on the test rows", words.number(own.value)))
    others = [_score(card, name, on="test") for name in baselines(card.scores)]
    known = [score for score in others if score is not None]
    if known:
        best = (max if known[0].greater_is_better else min)(known, key=lambda score: score.value)
        tiles.append((f"{best.metric} of {named(best.contender)}", words.number(best.value)))
    ahead = _score(card, CANDIDATE, on="forward")
    if ahead is not None:
        tiles.append((f"{ahead.metric} on the forward rows", words.number(ahead.value)))
    passed = sum(verdict.passed for verdict in card.verdicts)
    if card.verdicts:
        tiles.append(("gates passed", f"{passed} of {len(card.verdicts)}"))
    if card.rows.get("train") and card.run.origin is None:
        tiles.append(("rows trained on", words.count(card.rows["train"])))
    tiles.append(("package", size(card.version.size)))
    return tiles


def _score(card: Card, contender: str, *, on: str) -> Score | None:
    found = [s for s in card.scores if s.contender == contender and s.metric == card.metric and s.on == on]
    return found[0] if found else None


def _limits(card: Card) -> list[Markup]:
    items = element("ul", *(element("li", text) for text in card.limits), class_="findings")
    return [items, *(note(text) for text in card.missing)]


def _aliases(card: Card) -> list[Markup]:
    if not card.moves:
        return [element("p", "No alias has ever pointed at it: it never answered.")]
    items = [
        element(
            "li",
            element("b", f"{move.alias} {_moved(move.version, move.previous, card.version.version)}"),
            note(f"{words.moment(move.at)} UTC, by {move.actor}"),
            element("p", move.reason),
        )
        for move in card.moves
    ]
    return [element("ul", *items, class_="moves")]


def _moved(to: int, before: int | None, number: int) -> str:
    if to == number:
        return f"came here from version {before}" if before else "came here, its first version"
    return f"went on to version {to}"


def size(value: int) -> str:
    """Write a number of bytes.

    >>> size(812), size(48_300), size(12_000_000)
    ('812 B', '48 kB', '12 MB')
    """
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= step:
            return f"{value / step:.3g} {unit}" if value < 10 * step else f"{value / step:.0f} {unit}"
    return f"{value} B"
