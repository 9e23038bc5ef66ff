"""A page about a grid of replayed policies: which to take and why, what each would have cost, and when it trained."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.document import document
from treadle.data.profiles.page.markup import Markup, element
from treadle.data.profiles.page.parts import facts, note, section, table
from treadle.loop.choosing import GridReplay
from treadle.loop.contest import Raced, Turned
from treadle.loop.grid import DECLARED

_TOP, _FOOT = 4.0, 96.0


def page(found: GridReplay) -> str:
    """Return a replayed grid as an HTML document that needs no other file."""
    body = element(
        "main",
        _header(found),
        _policies(found),
        _weeks(found),
        _turns(found),
        note(
            "Each policy decided on what was known at each moment. Losses are compared on the rows that every policy answered; intervals "
            "take days as one, and allow for the number of policies. The choice was made on this very history: expect a little less of the next one."
        ),
    )
    title, style = f"{found.model}: replayed policies", Path(__file__).with_name("page.css")
    return document(element("body", body), title=title, style=style)


def _header(found: GridReplay) -> Markup:
    chosen = found.policy(found.recommended)
    tiles = [
        (found.metric, words.number(chosen.loss)),
        ("trainings", words.count(len(chosen.trainings))),
        ("policies", words.count(len(found.policies))),
        ("rows compared", words.count(found.rows)),
        ("fits made", f"{found.fits - found.fits_kept} for {found.fits_asked}"),
    ]
    return element(
        "header",
        element("p", "Replay", class_="kicker"),
        element(
            "h1", found.model, " ", element("small", f"{found.since:%Y-%m-%d} to {found.until:%Y-%m-%d}")
        ),
        element("p", f"Take {found.recommended}: {found.reason}.", class_="lead"),
        facts(tiles, class_="tiles"),
    )


def _policies(found: GridReplay) -> Markup:
    ranked = sorted(found.policies, key=lambda one: (one.loss != one.loss, one.loss))
    rows = [
        (
            element("b", f"→ {one.name}") if one.name == found.recommended else one.name,
            words.number(one.loss) if one.loss == one.loss else "nothing released",
            _against(one),
            str(len(one.trainings)),
            str(one.promotions),
            str(one.wrong),
            str(one.missed),
        )
        for one in ranked
    ]
    heads = ["policy", found.metric, "against declared", "trainings", "promoted", "wrong", "missed"]
    return section(
        "policies",
        "Policies",
        table(heads, rows, label="Policies by loss", numeric=[1, 3, 4, 5, 6], wide=True),
        note(
            "Wrong: promoted, and certainly worse than its predecessor on what came. Missed: turned down, and certainly better."
        ),
    )


def _against(one: Raced) -> str:
    if one.against is None:
        return "–"
    gap = one.against
    if gap.value == gap.low == gap.high == 0:
        return "the same answers"
    return f"{gap.value:+.5f} ({gap.low:+.5f} to {gap.high:+.5f})"


def _weeks(found: GridReplay) -> Markup:
    lines = [
        (name, values, "baseline" if name.startswith("baseline:") else "beside")
        for name, values in found.beside.items()
    ]
    lines += [(DECLARED, found.policy(DECLARED).weeks, "declared")] if found.recommended != DECLARED else []
    lines.append((found.recommended, found.policy(found.recommended).weeks, "chosen"))
    known = sorted(value for _, values, _ in lines for value in values if value is not None)
    low, high = (known[0], known[-1]) if known else (0.0, 1.0)

    def height(value: float) -> float:
        return _FOOT - (_FOOT - _TOP) * ((value - low) / (high - low) if high > low else 0.5)

    shapes = [
        element("path", element("title", name), d=_path(values, height), class_=kind)
        for name, values, kind in lines
    ]
    drawn = charts.drawing(
        max(len(found.weeks) - 1, 1), *shapes, label=f"{found.metric} by week of each.", class_="weeks"
    )
    ends = element(
        "div", element("span", words.number(high)), element("span", words.number(low)), class_="ends"
    )
    drawn_as = {"beside": "dashed", "baseline": "dotted"}
    keys = [element("span", name, class_=f"key {drawn_as.get(kind, kind)}") for name, _, kind in lines]
    return section(
        "weeks",
        f"{found.metric} by week",
        element("p", *keys, class_="legend"),
        element("div", ends, drawn, charts.axis(_dates(found.weeks)), class_="framed"),
    )


def _path(values: Sequence[float | None], height: object) -> str:
    assert callable(height)
    path, drawn = "", False
    for place, value in enumerate(values):
        if value is not None:
            path += f"{'L' if drawn else 'M'}{place} {height(value):.2f}"
        drawn = value is not None
    return path


def _turns(found: GridReplay) -> Markup:
    cells = []
    for one in found.policies:
        shapes = [
            element(
                "path",
                element("title", _told(turn)),
                d=f"M{_share(turn.at, found):.2f} 0V100",
                class_=_kind(turn),
            )
            for turn in one.trainings
        ]
        cells.append(element("span", one.name))
        cells.append(charts.drawing(1000, *shapes, label=f"Trainings of {one.name}.", class_="turns"))
    keys = [
        element("span", text, class_=f"key {kind}")
        for kind, text in (
            ("chosen", "promoted"),
            ("beside", "turned down"),
            ("wrong", "wrong or missed in hindsight"),
        )
    ]
    return section(
        "trainings",
        "Trainings",
        element("p", *keys, class_="legend"),
        element("div", *cells, element("span"), charts.axis(_dates(found.weeks)), class_="rows"),
    )


def _kind(turn: Turned) -> str:
    if turn.was_wrong:
        return "wrong"
    if turn.was_missed:
        return "missed"
    return "promoted" if turn.passed else "refused"


def _told(turn: Turned) -> str:
    return f"{turn.at:%Y-%m-%d}, {turn.rows:,} rows, {'promoted' if turn.passed else 'turned down'}. {turn.reason}"


def _share(at: datetime, found: GridReplay) -> float:
    return 1000 * ((at - found.since) / (found.until - found.since))


def _dates(weeks: Sequence[datetime]) -> list[str]:
    if not weeks:
        return []
    places = sorted({round(i * (len(weeks) - 1) / 4) for i in range(5)})
    return [f"{weeks[place]:%Y-%m-%d}" for place in places]
