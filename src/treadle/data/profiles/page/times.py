"""The section on time: when the rows are, where some are missing, and when values are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from treadle.data.profiles import words
from treadle.data.profiles.page import charts, scales
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.parts import column_link, folded, note, section, table
from treadle.data.profiles.records import ColumnProfile, Coverage, Profile

_NAMES = {
    "1s": "second",
    "1m": "minute",
    "1h": "hour",
    "1d": "day",
    "1w": "week",
    "1mo": "month",
    "3mo": "quarter",
    "1y": "year",
}
_MOST_STRIPS = 24
_LEAST_MISSING = 0.0005


def times(found: Profile, anchors: Anchors) -> Markup | None:
    """Return the section; None where rows have no time."""
    covered = found.coverage
    if covered is None:
        return None
    return section(
        "time",
        "Time",
        _rows(covered, found),
        _gaps(covered),
        _outcome(found, covered, anchors),
        _missing(found, covered, anchors),
    )


def per(every: str) -> str:
    """Write a length of time after a count.

    >>> per("1d"), per("15m")
    ('day', '15 minutes')
    """
    if every in _NAMES:
        return _NAMES[every]
    unit = every.lstrip("0123456789")
    return f"{every.removesuffix(unit)} {_NAMES[f'1{unit}']}s"


def _rows(covered: Coverage, found: Profile) -> Markup:
    counts = covered.rows
    before = found.comparison.before.coverage if found.comparison else None
    titles = [
        f"{words.moment(start, every=covered.every)}: {words.plural(count, 'row')}"
        for start, count in zip(covered.starts, counts, strict=True)
    ]
    filled = sorted(count for count in counts if count)
    usual = filled[len(filled) // 2]
    label = f"Rows per {per(covered.every)}, usually {words.count(usual)}; as a table below."
    chart = charts.bars(
        counts,
        label=label,
        titles=titles,
        marked=[_places(covered.starts, gap.start, gap.end) for gap in covered.gaps],
        class_="bars tall",
    )
    caption = (
        f"Rows per {per(covered.every)}: usually {words.count(usual)}, at most {words.count(max(counts))}"
    )
    until = ""
    if before is not None and found.comparison is not None:
        until = f". Version {found.comparison.before.version} reaches to {words.moment(before.starts[-1], every=covered.every)}"
    rows = [
        [words.moment(s, every=covered.every), words.count(c)]
        for s, c in zip(covered.starts, counts, strict=True)
    ]
    return element(
        "figure",
        element("figcaption", caption + until),
        chart,
        charts.axis(scales.spread(covered.starts, every=covered.every, first=covered.starts[0])),
        folded("As a table", table(["from", "rows"], rows, label="Rows over time", numeric=(1,))),
    )


def _places(starts: Sequence[datetime], first: datetime, last: datetime) -> tuple[int, int]:
    inside = [place for place, start in enumerate(starts) if first <= start < last]
    return inside[0], inside[-1] + 1


def _gaps(covered: Coverage) -> Markup:
    if not covered.gaps:
        return note(f"No {per(covered.every)} is without rows where rows would be expected.")
    rows = [
        [words.moment(gap.start, every=covered.every), words.moment(gap.end, every=covered.every)]
        for gap in covered.gaps
    ]
    shown = table(["from", "until before"], rows, label="Gaps")
    return folded(f"{words.plural(len(rows), 'gap')} without rows (hatched)", shown, open_=len(rows) <= 3)


def _outcome(found: Profile, covered: Coverage, anchors: Anchors) -> Markup | None:
    column = next((one for one in found.columns if "outcome" in one.roles and any(one.trend)), None)
    if column is None:
        return None
    known = [value for value in column.trend if value is not None]
    written = words.share if column.kind == "bool" else words.number
    low, high = written(min(known)), written(max(known))
    what = "share that is true" if column.kind == "bool" else "mean"
    return element(
        "figure",
        element(
            "figcaption",
            column_link(column.name, anchors),
            f" per {per(covered.trend_every)}, {what}: {low} to {high}",
        ),
        charts.line(
            column.trend, label=f"{column.name} over time: between {low} and {high}.", class_="line tall"
        ),
        trend_axis(covered),
        trend_table(column, covered),
    )


def trend_axis(covered: Coverage, *, labels: int = 5) -> Markup:
    """Return the axis of what is followed over time."""
    return charts.axis(
        scales.spread(covered.trend_starts, every=covered.trend_every, first=covered.starts[0], labels=labels)
    )


def trend_table(column: ColumnProfile, covered: Coverage) -> Markup:
    """Return what is followed over time as a table."""
    written = words.number if column.kind in {"int", "float"} else words.share
    rows = [
        [words.moment(start, every=covered.trend_every), "no rows" if value is None else written(value)]
        for start, value in zip(covered.trend_starts, column.trend, strict=True)
    ]
    what = f"{column.name} over time"
    shown = table([f"{per(covered.trend_every)} of", "value"], rows, label=what, numeric=(1,))
    return folded("Over time as a table", shown)


def _missing(found: Profile, covered: Coverage, anchors: Anchors) -> Markup | None:
    """Return a strip for each column whose values are missing at times, fullest first."""
    listed = sorted(
        (column for column in found.columns if column.missing >= _LEAST_MISSING and column.missing_trend),
        key=lambda column: -column.missing,
    )
    if not listed:
        return None
    rows = [_strip(column, covered, anchors) for column in listed[:_MOST_STRIPS]]
    left = len(listed) - len(rows)
    return element(
        "figure",
        element(
            "figcaption", f"Missing values per {per(covered.trend_every)}: the darker, the more are missing"
        ),
        element("div", *rows, element("span"), trend_axis(covered), element("span"), class_="strips"),
        note(f"{words.plural(left, 'other column')} with fewer missing values.") if left > 0 else None,
        _missing_table(listed[:_MOST_STRIPS], covered, anchors),
    )


def _strip(column: ColumnProfile, covered: Coverage, anchors: Anchors) -> Markup:
    starts = [words.moment(start, every=covered.trend_every) for start in covered.trend_starts]
    titles = [
        f"{start}: {'no rows' if share is None else words.share(share) + ' missing'}"
        for start, share in zip(starts, column.missing_trend, strict=True)
    ]
    label = f"{column.name}: {words.share(column.missing)} missing over all; as a table below."
    return joined(
        [
            element("span", column_link(column.name, anchors)),
            charts.strip(column.missing_trend, label=label, titles=titles),
            element("span", words.share(column.missing), class_="n"),
        ]
    )


def _missing_table(listed: Sequence[ColumnProfile], covered: Coverage, anchors: Anchors) -> Markup:
    rows = []
    for column in listed:
        known = [
            (share, start)
            for share, start in zip(column.missing_trend, covered.trend_starts, strict=True)
            if share is not None
        ]
        most, when = max(known, key=lambda one: one[0])
        rows.append(
            [
                column_link(column.name, anchors),
                words.share(known[0][0]),
                words.share(known[-1][0]),
                words.share(most),
                words.moment(when, every=covered.trend_every),
            ]
        )
    heads = ["column", "first", "last", "most", "in the stretch from"]
    return folded("As a table", table(heads, rows, label="Missing values over time", numeric=(1, 2, 3)))
