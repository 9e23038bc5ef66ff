"""The section on associations: the strongest pairs, and all of them as a heat map that is a table."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.parts import column_link, folded, note, scrolling, section, table
from treadle.data.profiles.records import Associations, Profile

_STRONGEST = 12
_WRITTEN = 0.1

Matrix = Sequence[Sequence[float | None]]


def pairs(found: Profile, anchors: Anchors) -> Markup | None:
    """Return the section; None where there are not two columns that vary."""
    known = found.associations
    if known is None:
        return None
    left = (
        f" Left out for want of room: {', '.join(words.shown(name) for name in known.left_out)}."
        if known.left_out
        else ""
    )
    values = [name for name, numeric in zip(known.columns, known.numeric, strict=True) if numeric]
    return section(
        "associations",
        "Which columns go together",
        note(
            f"On {words.count(known.rows)} rows. Numbers: Spearman's rank correlation, from −1 to 1. Categories: Cramér's V. "
            f"A number with a category: the correlation ratio. The last two from 0 to 1, corrected for chance.{left}"
        ),
        _strongest(known, anchors),
        element("h3", "All pairs"),
        _heat_map(known.columns, known.strength, anchors, label="Associations of all pairs of columns"),
        folded(
            "Numbers by Pearson's correlation, which sees straight lines only",
            _heat_map(values, _numbers_only(known), anchors, label="Pearson correlations"),
        )
        if len(values) > 1
        else None,
    )


def _numbers_only(known: Associations) -> Matrix:
    places = [place for place, numeric in enumerate(known.numeric) if numeric]
    return [[known.pearson[row][column] for column in places] for row in places]


def _strongest(known: Associations, anchors: Anchors) -> Markup:
    found = [
        (value, known.columns[row], known.columns[place])
        for row, values in enumerate(known.strength)
        for place, value in enumerate(values[:row])
        if value is not None and abs(value) >= _WRITTEN
    ]
    found.sort(key=lambda one: (-abs(one[0]), one[1:]))
    if not found:
        return element("p", "No two columns go together by more than 0.1.")
    rows = [
        [
            joined([column_link(first, anchors), " and ", column_link(second, anchors)]),
            joined([charts.meter(abs(value), class_="against" if value < 0 else ""), _signed(value)]),
        ]
        for value, first, second in found[:_STRONGEST]
    ]
    return table(["strongest pairs", "strength"], rows, label="Strongest pairs", class_="pairs")


def _heat_map(names: Sequence[str], matrix: Matrix, anchors: Anchors, *, label: str) -> Markup:
    """Return a table whose cells are coloured: what is seen can be read, too."""
    head = element(
        "tr",
        element("td"),
        *(element("th", element("span", column_link(name, anchors)), scope="col") for name in names),
    )
    rows = [
        element(
            "tr",
            element("th", column_link(name, anchors), scope="row"),
            *(
                _cell(value, name, other, same=row == place)
                for place, (value, other) in enumerate(zip(matrix[row], names, strict=True))
            ),
        )
        for row, name in enumerate(names)
    ]
    inside = element("table", element("thead", head), element("tbody", *rows), class_="heat")
    return scrolling(inside, label=label)


def _cell(value: float | None, first: str, second: str, *, same: bool) -> Markup:
    if same:
        return element("td", class_="same")
    if value is None:
        return element("td", "·", title=f"{first} and {second}: cannot be told")
    sign = "against" if value < 0 else "along"
    written = _short(value) if abs(value) >= _WRITTEN else element("span", _short(value), class_="faint")
    return element(
        "td",
        written,
        class_=sign,
        style=f"--v:{100 * abs(value):.0f}%",
        title=f"{words.shown(first)} and {words.shown(second)}: {_signed(value)}",
    )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _short(value: float) -> str:
    return "1" if value > 0.995 else "−1" if value < -0.995 else _signed(value).replace("0.", ".")
