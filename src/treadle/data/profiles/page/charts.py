"""Charts as small SVG drawings: shapes only, stretched to the room there is, with all text beside them in HTML.

Colours come from the page's style sheet, so that the same drawing is right in the light and in the dark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element

_HEIGHT = 100.0
#: The least height of a bar that stands for anything at all.
_LEAST = 1.0

Values = Sequence[float | None]


def bars(
    values: Sequence[float],
    *,
    label: str,
    titles: Sequence[str],
    line: Sequence[float] | None = None,
    marked: Iterable[tuple[int, int]] = (),
    class_: str = "bars",
) -> Markup:
    """Return bars of values from zero up; `line` is drawn over them, stretches of `marked` places stand out behind them."""
    greatest = max([*values, *(line or ())], default=0.0) or 1.0
    behind = [
        element("rect", x=float(first), y=0, width=float(last - first), height=_HEIGHT, class_="gap")
        for first, last in marked
    ]
    shapes = [
        _bar(place, value / greatest, title)
        for place, (value, title) in enumerate(zip(values, titles, strict=True))
        if value > 0
    ]
    over = _steps([value / greatest for value in line]) if line else None
    return drawing(len(values), *behind, *shapes, over, label=label, class_=class_)


def drawing(width: float, *shapes: Markup | None, label: str, class_: str) -> Markup:
    """Return a drawing that is stretched to its frame; `label` says what is seen to those who do not see it."""
    return element(
        "svg",
        *shapes,
        viewBox=f"0 0 {width:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
        class_=class_,
    )


def _bar(place: int, share: float, title: str) -> Markup:
    height = round(max(share * _HEIGHT, _LEAST), 2)
    return element(
        "rect",
        element("title", title),
        x=place + 0.06,
        y=round(_HEIGHT - height, 2),
        width=0.88,
        height=height,
    )


def _steps(shares: Sequence[float]) -> Markup:
    points = "".join(
        f"{'M' if place == 0 else 'L'}{place} {_HEIGHT * (1 - share):.2f}L{place + 1} {_HEIGHT * (1 - share):.2f}"
        for place, share in enumerate(shares)
    )
    return element("path", d=points, class_="before")


def line(values: Values, *, label: str, other: Values = (), class_: str = "line") -> Markup:
    """Return a line through values, broken where there are none; `other` is a second line behind it."""
    known = [value for value in (*values, *other) if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    spread = (high - low) or 1.0

    def place(value: float) -> float:
        # Room above and below, so that the line's own width is not cut off; a constant runs in the middle.
        return 92 - 84 * ((value - low) / spread if high > low else 0.5)

    shapes = [
        element("path", d=path, class_=name)
        for name, drawn in (("before", other), ("now", values))
        if (path := _path(drawn, place))
    ]
    return drawing(max(len(values), 2) - 1, *shapes, label=label, class_=class_)


def _path(values: Values, height: Callable[[float], float]) -> str:
    path, drawn = [], False
    for place, value in enumerate(values):
        if value is None:
            drawn = False
            continue
        alone = not drawn and (place + 1 >= len(values) or values[place + 1] is None)
        path.append(f"{'L' if drawn else 'M'}{place} {height(value):.1f}" + ("h.4" if alone else ""))
        drawn = True
    return "".join(path)


def strip(shares: Values, *, label: str, titles: Sequence[str]) -> Markup:
    """Return a strip whose cells are the fuller the greater the share; a cell without rows is hatched."""
    shapes = []
    for place, (share, title) in enumerate(zip(shares, titles, strict=True)):
        if share == 0:
            continue
        shapes.append(
            element(
                "rect",
                element("title", title),
                x=float(place),
                y=0,
                width=1,
                height=_HEIGHT,
                class_="gap" if share is None else None,
                fill_opacity=None if share is None else round(0.15 + 0.85 * share, 3),
            )
        )
    return drawing(max(len(shares), 1), *shapes, label=label, class_="strip")


def meter(share: float, *, class_: str = "") -> Markup:
    """Return a bar filled to a share; whoever uses it writes the number beside it."""
    width = 100 * min(max(share, 0.0), 1.0)
    inside = element("span", style=f"width:{width:.2f}%") if share > 0 else None
    return element("span", inside, class_=f"meter {class_}".strip(), aria_hidden="true")


def axis(labels: Sequence[str]) -> Markup:
    """Return labels spread along the chart above them: the first and last at its ends."""
    return element("div", *(element("span", label) for label in labels), class_="axis", aria_hidden="true")


def box(quantiles: dict[str, float], *, low: float, high: float, shift: float = 0.0) -> Markup | None:
    """Return the middle half, the middle nine tenths and the median of a number, on the scale of the bars above.

    `shift` is half a bin where a bin is one number, which then stands in its middle.
    """
    if not quantiles or high <= low:
        return None

    def at(share: str) -> float:
        return 100 * min(max((quantiles[share] + shift - low) / (high - low), 0.0), 1.0)

    p5, p25, p50, p75, p95 = (at(share) for share in ("0.05", "0.25", "0.5", "0.75", "0.95"))
    told = f"middle half {words.number(quantiles['0.25'])} to {words.number(quantiles['0.75'])}"
    return element(
        "div",
        element("i", class_="reach", style=f"left:{p5:.2f}%;width:{p95 - p5:.2f}%"),
        element("i", class_="half", style=f"left:{p25:.2f}%;width:{max(p75 - p25, 0.4):.2f}%"),
        element("i", class_="median", style=f"left:{p50:.2f}%"),
        class_="box",
        title=f"median {words.number(quantiles['0.5'])}, {told}",
        aria_hidden="true",
    )
