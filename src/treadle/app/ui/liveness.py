"""How good a model's answers were lately, beside baseline and frozen versions: the part that overview and model page share."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from treadle.app.ui.charts.lines import Line, Lines, Mark, Point
from treadle.core.records import Alias
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element
from treadle.loop.lately import LATELY, Lately, Stretch

if TYPE_CHECKING:
    from treadle.app.ui.page import Seen

_EDGE = 3.0


def lately(seen: Seen, endpoint: str, *, since: datetime | None, every: str) -> Lately | None:
    """Return how good an endpoint's answers were; None: it is being measured."""
    workspace = seen.workspace
    tables = [workspace.tables.version(f"{kind}/{endpoint}") for kind in ("predictions", "outcomes")]
    asked = f"{since:%Y-%m-%d}" if since else ""
    stamp = f"{tables} {seen.now:%Y-%m-%d %H}"
    return seen.kept.get(
        ("lately", endpoint, asked, every),
        lambda: workspace.lately(endpoint, since=since, every=every),
        stamp=stamp,
    )


def recent(seen: Seen, endpoint: str) -> Lately | None:
    """Return how good an endpoint's answers of the last four weeks were, by day."""
    start = (seen.now - LATELY).replace(hour=0, minute=0, second=0, microsecond=0)
    return lately(seen, endpoint, since=start, every="1d")


def told(found: Lately) -> str:
    """Return in words how the answers compare with the baseline."""
    if found.whole is None or found.whole.value is None:
        return "no outcome of an answer is known yet" if found.asked else "nothing was asked"
    if found.difference is None:
        return "it has no baseline"
    low, high = sorted((abs(found.low or 0.0), abs(found.high or 0.0)))
    if found.beats_baseline is None:
        return "not certainly better or worse than the baseline"
    what = "better" if found.beats_baseline else "worse"
    return f"{what} than the baseline by {words.number(abs(found.difference))} ({words.number(low)} to {words.number(high)})"


def whisker(found: Lately, frozen: Stretch | None) -> Markup | None:
    """Return value and interval on a line, with marks where the baseline and a frozen version lie."""
    whole = found.whole
    if whole is None or whole.value is None:
        return None
    low, high = whole.low or whole.value, whole.high or whole.value
    ends = [v for v in (low, high, whole.baseline, frozen.value if frozen else None) if v is not None]
    span = (max(ends) - min(ends)) or 1.0

    def at(value: float) -> float:
        return round(_EDGE + (100 - 2 * _EDGE) * (value - min(ends)) / span, 2)

    shapes = [element("path", d="M0 10H100", class_="grid")]
    for name, value, kind in (
        ("baseline", whole.baseline, "baseline"),
        ("frozen", frozen.value if frozen else None, "frozen"),
    ):
        if value is not None:
            title = element("title", f"{name}: {words.number(value)}")
            shapes.append(element("path", title, d=f"M{at(value)} 2V18", class_=f"stop {kind}"))
    shapes.append(element("path", d=f"M{at(low)} 10H{at(high)}", class_="reach own"))
    title = element("title", f"{found.metric}: {words.number(whole.value)}")
    shapes.append(element("path", title, d=f"M{at(whole.value)} 10h0", class_="dot own"))
    label = f"{found.metric} {words.number(whole.value)}, 95 % interval {words.number(low)} to {words.number(high)}"
    if whole.baseline is not None:
        label += f", baseline {words.number(whole.baseline)}"
    return element(
        "svg",
        *shapes,
        viewBox="0 0 100 20",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
        class_="whisk",
    )


def traffic(found: Lately, now: datetime) -> Markup:
    """Return answers by day as bars."""
    begin = (now - LATELY).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [begin + timedelta(days=i) for i in range(LATELY.days + 1)]
    by = {one.start: one.asked for one in found.stretches}
    most = max([*by.values(), 1])
    bars = [
        element(
            "rect",
            element("title", f"{day:%Y-%m-%d}: {words.plural(by.get(day, 0), 'answer')}"),
            x=place + 0.1,
            y=round(100 - 100 * by.get(day, 0) / most, 2),
            width=0.8,
            height=round(100 * by.get(day, 0) / most, 2),
        )
        for place, day in enumerate(days)
    ]
    return element(
        "svg",
        *bars,
        viewBox=f"0 0 {len(days)} 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"Answers by day, {words.count(most)} at most",
        class_="spark",
    )


def over_time(found: Lately, *, frozen: Lately | None, moves: list[Alias]) -> Lines:
    """Return the metric by week as lines: the model, its baseline, and a frozen version; champions' changes stand out."""
    own = [_point(one, value=one.value, low=one.low, high=one.high) for one in found.stretches]
    lines = [Line(name=found.endpoint, points=own)]
    base = [_point(one, value=one.baseline) for one in found.stretches]
    if any(point.y is not None for point in base):
        lines.append(Line(name="baseline", points=base, kind="baseline"))
    if frozen is not None and frozen.metric == found.metric:
        points = [_point(one, value=one.value, low=one.low, high=one.high) for one in frozen.stretches]
        lines.append(Line(name=frozen.endpoint, points=points, kind="frozen"))
    arrow = "higher is better" if found.greater_is_better else "lower is better"
    return Lines(
        name="live",
        title=f"Live {found.metric} by week, {arrow}",
        lines=lines,
        up=found.metric,
        marks=[Mark(x=m.at.timestamp(), said=f"new champion: version {m.version}") for m in moves],
    )


def _point(
    one: Stretch, *, value: float | None, low: float | None = None, high: float | None = None
) -> Point:
    assert one.start is not None
    told_ = f"{words.count(one.n)} of {words.count(one.asked)} answers"
    return Point(x=one.start.timestamp(), y=value, low=low, high=high, said=told_)
