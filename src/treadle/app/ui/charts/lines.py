"""Lines over time, each with its interval as a band, and moments that stand out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from treadle.app.ui.charts import standalone
from treadle.app.ui.charts.scale import Scale, moments
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element

_WIDTH, _HEIGHT = 1000.0, 100.0
#: Points of a line at most that are drawn as dots too, each with its numbers in a title.
_DOTS = 80


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value at a place, with the ends of its interval where there are any."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None
    #: What is said of it beside its numbers, as `1,204 rows`.
    said: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line with its name; `kind` says how it is drawn: `own`, `frozen`, `baseline`, or `other`."""

    name: str
    points: Sequence[Point]
    kind: str = "own"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment that stands out."""

    x: float
    said: str


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A chart of lines; `x` is seconds since 1970, or with `times=False` a plain number."""

    name: str
    title: str
    lines: Sequence[Line]
    #: What is measured, and what it is measured over.
    up: str
    across: str = "time (UTC)"
    marks: Sequence[Mark] = ()
    times: bool = True
    #: Whether the scale begins at nought, as for counts.
    from_zero: bool = False
    #: Whether a diagonal is drawn, on which a perfect answer would lie.
    diagonal: bool = False

    def drawn(self) -> Markup:
        """Return the drawing with its ends, and a legend where there are several lines."""
        x, y = self._scales()
        shapes = [*_grid(y.at(tick) for tick in y.ticks()), *self._diagonal(x, y), *self._marks(x)]
        for line in _last_own(self.lines):
            shapes += _shapes(line, x, y, self._place)
        svg = element(
            "svg",
            *shapes,
            viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
            preserveAspectRatio="none",
            role="img",
            aria_label=f"{self.title}: {self.up} over {self.across}. The numbers follow as a table.",
            class_="chart",
        )
        ups = element(
            "div",
            *(
                element("span", words.number(t), class_=f"at at-{round(100 * y.at(t))}")
                for t in y.ticks()
                if 0.03 < y.at(t) < 0.97
            ),
            class_="ups",
            aria_hidden="true",
        )
        ends = [
            element("span", text, class_=f"at at-{round(100 * x.at(at))}") for at, text in self._ticks(x, 6)
        ]
        across = element("div", *ends, class_="acrosses", aria_hidden="true")
        return element("div", self._legend(), element("div", ups, svg, across, class_="plane"))

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return every point: line, place, value, interval."""
        has_ends = any(p.low is not None for line in self.lines for p in line.points)
        heads = ["line", "at" if self.times else self.across, self.up, *(["low", "high"] if has_ends else [])]
        found = []
        for line in self.lines:
            for p in line.points:
                ends = [_plain(p.low), _plain(p.high)] if has_ends else []
                found.append([line.name, self._plain_place(p.x), _plain(p.y), *ends])
        return heads, found

    def svg(self) -> str:
        """Return the drawing as a file."""
        x, y = self._scales()
        return standalone.lines(self, x, y, across=[(x.at(at), text) for at, text in self._ticks(x, 8)])

    def _scales(self) -> tuple[Scale, Scale]:
        points = [p for line in self.lines for p in line.points if p.y is not None]
        xs = Scale.over(p.x for p in points)
        # An interval may reach far beyond all values where there were few rows: the lines decide, with much room.
        values = [p.y for p in points if p.y is not None]
        around = Scale.over(values, room=0.45)
        ends = [
            e for p in points for e in (p.low, p.high) if e is not None and around.low <= e <= around.high
        ]
        ys = Scale.over(
            [*values, *ends, *([0.0] if self.from_zero else [])], room=0.0 if self.from_zero else 0.06
        )
        if self.diagonal:
            return Scale(0.0, 1.0), Scale(0.0, 1.0)
        return xs, Scale(ys.low, ys.high * 1.05) if self.from_zero else ys

    def _ticks(self, x: Scale, most: int) -> Sequence[tuple[float, str]]:
        if self.times:
            return moments(x.low, x.high, most)
        return [(value, words.number(value)) for value in x.ticks(most)]

    def _diagonal(self, x: Scale, y: Scale) -> list[Markup]:
        if not self.diagonal:
            return []
        return [
            element("path", d=f"M{_right(x, 0)} {_down(y, 0)}L{_right(x, 1)} {_down(y, 1)}", class_="grid")
        ]

    def _marks(self, x: Scale) -> list[Markup]:
        return [
            element("path", element("title", m.said), d=f"M{_right(x, m.x)} 0V{_HEIGHT:g}", class_="moment")
            for m in self.marks
            if x.low <= m.x <= x.high
        ]

    def _legend(self) -> Markup | None:
        if len(self.lines) < 2 and not self.marks:
            return None
        keys = [element("span", line.name, class_=f"key {line.kind}") for line in self.lines]
        if self.marks:
            keys.append(element("span", self.marks[0].said.split(":", 1)[0], class_="key moment"))
        return element("p", *keys, class_="legend")

    def _place(self, x: float) -> str:
        return f"{datetime.fromtimestamp(x, UTC):%Y-%m-%d %H:%M} UTC" if self.times else words.number(x)

    def _plain_place(self, x: float) -> str:
        return datetime.fromtimestamp(x, UTC).isoformat() if self.times else f"{x:.10g}"


def _last_own(lines: Sequence[Line]) -> list[Line]:
    """Return the lines with the own one last, so that it is drawn over the others."""
    return sorted(lines, key=lambda line: line.kind == "own")


def _grid(heights: Iterable[float]) -> list[Markup]:
    return [element("path", d=f"M0 {_HEIGHT * (1 - at):.2f}H{_WIDTH:g}", class_="grid") for at in heights]


def _shapes(line: Line, x: Scale, y: Scale, place: object) -> list[Markup]:
    found = []
    for part in pieces(line.points):
        band = [p for p in part if p.low is not None and p.high is not None]
        if len(band) > 1:
            over = "L".join(f"{_right(x, p.x)} {_down(y, p.high or 0.0)}" for p in band)
            under = "L".join(f"{_right(x, p.x)} {_down(y, p.low or 0.0)}" for p in reversed(band))
            found.append(element("path", d=f"M{over}L{under}Z", class_=f"band {line.kind}"))
        way = "L".join(f"{_right(x, p.x)} {_down(y, p.y or 0.0)}" for p in part)
        found.append(
            element("path", d=f"M{way}" + ("h0" if len(part) == 1 else ""), class_=f"way {line.kind}")
        )
    if len(line.points) <= _DOTS:
        found += [_dot(line, p, x, y, place) for p in line.points if p.y is not None]
    return found


def _dot(line: Line, p: Point, x: Scale, y: Scale, place: object) -> Markup:
    assert callable(place)
    told = f"{line.name}, {place(p.x)}: {words.number(p.y)}"
    if p.low is not None and p.high is not None:
        told += f" ({words.number(p.low)} to {words.number(p.high)})"
    if p.said:
        told += f", {p.said}"
    return element(
        "path",
        element("title", told),
        d=f"M{_right(x, p.x)} {_down(y, p.y or 0.0)}h0",
        class_=f"dot {line.kind}",
    )


def pieces(points: Sequence[Point]) -> list[list[Point]]:
    """Return the stretches without a gap."""
    found: list[list[Point]] = [[]]
    for point in points:
        if point.y is None:
            found.append([])
        else:
            found[-1].append(point)
    return [part for part in found if part]


def _right(x: Scale, value: float) -> str:
    return f"{_WIDTH * x.at(value):.2f}"


def _down(y: Scale, value: float) -> str:
    return f"{_HEIGHT * (1 - y.at(value)):.2f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
