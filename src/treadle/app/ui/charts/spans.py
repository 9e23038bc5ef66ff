"""Stretches of time, one row for each name: who answered when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from treadle.app.ui.charts import standalone
from treadle.app.ui.charts.scale import Scale, moments
from treadle.data.profiles.page.markup import Markup, element

_WIDTH = 1000.0


@dataclass(frozen=True, kw_only=True)
class Span:
    """One stretch of time (seconds since 1970); `kind` says how it is drawn: `own` or `other`."""

    start: float
    end: float
    said: str
    kind: str = "own"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A row: a name, where it leads, and its stretches."""

    name: str
    spans: Sequence[Span]
    href: str = ""


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Rows of stretches on one scale of time."""

    name: str
    title: str
    bars: Sequence[Bar]

    def drawn(self) -> Markup:
        """Return the rows, each beside its name."""
        x = self._scale()
        rows = [
            element("div", _named(bar), _strip(bar, x), class_="span-row", role="listitem")
            for bar in self.bars
        ]
        marks = [
            element("span", told, class_=f"at at-{round(100 * x.at(at))}")
            for at, told in moments(x.low, x.high, 6)
        ]
        axis = element(
            "div",
            element("span"),
            element("div", *marks, class_="acrosses"),
            class_="span-row",
            aria_hidden="true",
        )
        return element("div", element("div", *rows, role="list"), axis, class_="spans")

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return every stretch with its ends."""
        found = [
            [bar.name, _iso(span.start), _iso(span.end), span.said] for bar in self.bars for span in bar.spans
        ]
        return ["name", "from", "until", "what"], found

    def svg(self) -> str:
        """Return the drawing as a file."""
        x = self._scale()
        return standalone.spans(self, x, across=[(x.at(at), told) for at, told in moments(x.low, x.high, 8)])

    def _scale(self) -> Scale:
        spans = [span for bar in self.bars for span in bar.spans]
        return Scale(
            min((span.start for span in spans), default=0.0), max((span.end for span in spans), default=1.0)
        )


def _named(bar: Bar) -> Markup:
    return element("a", bar.name, href=bar.href) if bar.href else element("span", bar.name)


def _strip(bar: Bar, x: Scale) -> Markup:
    shapes = [
        element(
            "rect",
            element("title", span.said),
            x=round(_WIDTH * x.at(span.start), 2),
            y=0,
            width=round(max(_WIDTH * (x.at(span.end) - x.at(span.start)), 3.0), 2),
            height=100,
            class_=span.kind,
        )
        for span in bar.spans
    ]
    told = "; ".join(span.said for span in bar.spans[:3])
    return element(
        "svg",
        *shapes,
        viewBox=f"0 0 {_WIDTH:g} 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{bar.name}: {told or 'nothing'}",
        class_="span",
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
