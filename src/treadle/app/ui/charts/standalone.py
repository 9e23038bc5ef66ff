"""Drawings as files of their own: colours, texts and axes in the file, readable anywhere and printable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from treadle.app.ui.charts.scale import Scale
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element

if TYPE_CHECKING:
    from treadle.app.ui.charts.lines import Line, Lines, Point
    from treadle.app.ui.charts.spans import Spans

_WIDTH, _HEIGHT = 960.0, 420.0
_LEFT, _RIGHT, _TOP, _FOOT = 70.0, 20.0, 66.0, 46.0
#: As in the light theme; a file is mostly seen on paper.
COLOURS = {"own": "#1f7196", "frozen": "#d2691e", "baseline": "#5b646d", "other": "#7a8f3c"}
_INK, _SOFT, _GRID = "#1d2226", "#5b646d", "#dedbd2"


def document(*shapes: Markup | None, width: float, height: float, title: str) -> str:
    """Return an SVG document on white."""
    return element(
        "svg",
        element("title", title),
        element("rect", width=width, height=height, fill="#ffffff"),
        *shapes,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        font_family="system-ui, sans-serif",
        font_size=13.0,
    )


def lines(chart: Lines, x: Scale, y: Scale, *, across: Sequence[tuple[float, str]]) -> str:
    """Return a chart of lines."""
    inner_w, inner_h = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _FOOT

    def right(value: float) -> float:
        return _LEFT + inner_w * x.at(value)

    def down(value: float) -> float:
        return _TOP + inner_h * (1 - y.at(value))

    shapes: list[Markup] = [text(_LEFT, 26, chart.title, size=17, weight=600)]
    for tick in y.ticks(6):
        shapes.append(_stroke(f"M{_LEFT:g} {down(tick):.1f}h{inner_w:g}", _GRID, 1))
        shapes.append(text(_LEFT - 8, down(tick) + 4, words.number(tick), anchor="end", fill=_SOFT))
    for share, told in across:
        shapes.append(text(_LEFT + inner_w * share, _HEIGHT - _FOOT + 20, told, anchor="middle", fill=_SOFT))
    shapes += [
        _stroke(f"M{right(mark.x):.1f} {_TOP:g}v{inner_h:g}", _SOFT, 1, dash="2 4")
        for mark in chart.marks
        if x.low <= mark.x <= x.high
    ]
    for line in chart.lines:
        shapes += _line(line, right, down)
    shapes += _legend(chart.lines)
    shapes.append(text(_LEFT, _HEIGHT - 6, f"{chart.up} over {chart.across}", fill=_SOFT, size=12))
    return document(*shapes, width=_WIDTH, height=_HEIGHT, title=chart.title)


def _line(line: Line, right: object, down: object) -> list[Markup]:
    from treadle.app.ui.charts.lines import pieces

    assert callable(right)
    assert callable(down)
    colour = COLOURS.get(line.kind, COLOURS["other"])
    found = []

    def way(points: Sequence[Point], end: str) -> str:
        return "L".join(f"{right(p.x):.1f} {down(getattr(p, end)):.1f}" for p in points)

    for part in pieces(line.points):
        band = [p for p in part if p.low is not None and p.high is not None]
        if len(band) > 1:
            d = f"M{way(band, 'high')}L{way(band[::-1], 'low')}Z"
            found.append(element("path", d=d, fill=colour, fill_opacity=0.15))
        found.append(_stroke(f"M{way(part, 'y')}", colour, 2))
    return found


def _legend(lines: Sequence[Line]) -> list[Markup]:
    found, at = [], _LEFT
    for line in lines:
        colour = COLOURS.get(line.kind, COLOURS["other"])
        found.append(element("rect", x=at, y=40.0, width=12.0, height=12.0, rx=2.0, fill=colour))
        found.append(text(at + 18, 50.5, line.name))
        at += 46 + 7.2 * len(line.name)
    return found


def spans(chart: Spans, x: Scale, *, across: Sequence[tuple[float, str]]) -> str:
    """Return stretches of time, one row for each name."""
    row, left = 26.0, 150.0
    inner_w = _WIDTH - left - _RIGHT
    height = _TOP + row * len(chart.bars) + _FOOT
    shapes: list[Markup] = [text(20, 30, chart.title, size=17, weight=600)]
    for share, told in across:
        at = left + inner_w * share
        shapes.append(_stroke(f"M{at:.1f} {_TOP - 8:g}V{height - _FOOT:g}", _GRID, 1))
        shapes.append(text(at, height - _FOOT + 20, told, anchor="middle", fill=_SOFT))
    for number, bar in enumerate(chart.bars):
        top = _TOP + row * number
        shapes.append(text(20, top + 14, bar.name))
        for span in bar.spans:
            width = max(inner_w * (x.at(span.end) - x.at(span.start)), 2.0)
            colour = COLOURS.get(span.kind, COLOURS["other"])
            shapes.append(
                element(
                    "rect",
                    element("title", span.said),
                    x=round(left + inner_w * x.at(span.start), 1),
                    y=top + 2,
                    width=round(width, 1),
                    height=row - 10,
                    rx=2.0,
                    fill=colour,
                )
            )
    return document(*shapes, width=_WIDTH, height=height, title=chart.title)


def text(
    x: float,
    y: float,
    said: str,
    *,
    anchor: str | None = None,
    fill: str = _INK,
    size: float | None = None,
    weight: int | None = None,
) -> Markup:
    """Return a line of text."""
    return element(
        "text",
        said,
        x=round(x, 1),
        y=round(y, 1),
        fill=fill,
        text_anchor=anchor,
        font_size=size,
        font_weight=weight,
    )


def _stroke(d: str, colour: str, width: float, *, dash: str | None = None) -> Markup:
    return element("path", d=d, fill="none", stroke=colour, stroke_width=width, stroke_dasharray=dash)
