"""The plots of a task on a card: answers beside what happened, of the version and its baselines."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.app.card.measured import named
from treadle.app.card.record import Card
from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import note
from treadle.evaluation.plot import Line, Plot
from treadle.loop.judging import CANDIDATE

#: Width of a drawing; its height is that of every chart.
_WIDTH, _HEIGHT, _EDGE = 160.0, 100.0, 4.0


def plotted(card: Card) -> list[Markup]:
    """Return each plot of the test rows."""
    if not card.plots:
        return []
    drawn = element("div", *(_figure(plot) for plot in card.plots), class_="plots")
    own = element("span", "this version", class_="key own")
    others = [line.name for line in card.plots[0].lines if line.name != CANDIDATE]
    rest = element("span", ", ".join(map(named, others)), class_="key other") if others else ""
    return [element("p", joined([own, rest]), class_="legend"), drawn]


def _figure(plot: Plot) -> Markup:
    x, y = _ends(plot, across=True), _ends(plot, across=False)
    if plot.reference == "diagonal":
        x = y = (min(x[0], y[0]), max(x[1], y[1]))
    shapes = [_diagonal()] if plot.reference == "diagonal" else []
    # The version itself is drawn last, over the others.
    for line in sorted(plot.lines, key=lambda one: one.name == CANDIDATE):
        shapes += _shapes(line, x, y)
    label = f"{plot.title}: {plot.up} against {plot.across}."
    drawing = charts.drawing(_WIDTH, *shapes, label=label, class_="plot")
    beside = element(
        "div",
        element("span", words.number(y[1])),
        element("i", plot.up),
        element("span", words.number(y[0])),
        class_="ends",
    )
    below = element(
        "div",
        element("span", words.number(x[0])),
        element("span", plot.across),
        element("span", words.number(x[1])),
        class_="axis",
    )
    framed = element("div", beside, drawing, below, class_="framed")
    return element("figure", element("h3", plot.title), framed, note(plot.said) if plot.said else None)


def _ends(plot: Plot, *, across: bool) -> tuple[float, float]:
    if plot.shares:
        return 0.0, 1.0
    values = [v for line in plot.lines for v in (line.x if across else (*line.y, *line.low, *line.high))]
    low, high = min(values), max(values)
    if not across and not plot.reference:
        low = min(low, 0.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _shapes(line: Line, x: tuple[float, float], y: tuple[float, float]) -> list[Markup]:
    kind = "own" if line.name == CANDIDATE else "other"
    places = [(_right(a, x), _down(b, y)) for a, b in zip(line.x, line.y, strict=True)]
    path = "".join(f"{'L' if place else 'M'}{a:.2f} {b:.2f}" for place, (a, b) in enumerate(places))
    shapes = [element("path", element("title", named(line.name)), d=path, class_=f"way {kind}")]
    shapes += [
        element(
            "path", d=f"M{_right(a, x):.2f} {_down(low, y):.2f}V{_down(high, y):.2f}", class_=f"reach {kind}"
        )
        for a, low, high in zip(line.x, line.low, line.high, strict=False)
    ]
    if len(places) <= _FEW:
        shapes += [_dot(line, place, kind, at) for place, at in enumerate(places)]
    return shapes


#: Points of a line at most that are drawn as dots too.
_FEW = 40


def _dot(line: Line, place: int, kind: str, at: tuple[float, float]) -> Markup:
    told = f"{named(line.name)}: {words.number(line.x[place])}, {words.number(line.y[place])}"
    if line.low:
        told += f" ({words.number(line.low[place])} to {words.number(line.high[place])})"
    return element("path", element("title", told), d=f"M{at[0]:.2f} {at[1]:.2f}h0", class_=f"dot {kind}")


def _diagonal() -> Markup:
    return element("path", d=f"M{_EDGE:g} {_HEIGHT - _EDGE:g}L{_WIDTH - _EDGE:g} {_EDGE:g}", class_="perfect")


def _right(value: float, ends: Sequence[float]) -> float:
    return _EDGE + (_WIDTH - 2 * _EDGE) * (value - ends[0]) / (ends[1] - ends[0])


def _down(value: float, ends: Sequence[float]) -> float:
    return _HEIGHT - _EDGE - (_HEIGHT - 2 * _EDGE) * (value - ends[0]) / (ends[1] - ends[0])
