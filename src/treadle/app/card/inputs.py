"""The part of a card that says what the version goes by: what it loses without an input, and what the input adds to its answers."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.app.card.record import Card
from treadle.data.profiles import words
from treadle.data.profiles.page.charts import meter
from treadle.data.profiles.page.markup import Markup, element
from treadle.data.profiles.page.parts import folded, note, table

#: Inputs that are shown before the rest is folded.
_MOST_INPUTS = 12
_HOW = {
    "additive": "exact",
    "trees": "exact",
    "library": "its library's own",
    "permutations": "estimated",
}
_UNITS = {
    "log-odds": "log-odds",
    "probability": "probability",
    "log": "the logarithm of the answer",
    "value": "the target's unit",
}


def goes_by(card: Card) -> list[Markup]:
    """Return what the version owes to each input, and what each adds to its answers; most first."""
    return [*_owed(card), *_added(card)]


def _owed(card: Card) -> list[Markup]:
    if not card.owed:
        return []
    most = max(one.value for one in card.owed)
    rows = [_row(one.column, one.value, one.low, one.high, most=most) for one in card.owed]
    return [
        element("h3", "What it loses without an input"),
        *_tables(["input", f"{card.metric} lost", "95 % interval", ""], rows, label="Inputs by importance"),
        note(
            f"How much worse {card.metric} gets when an input's values are dealt out anew among the test rows. Inputs that say the "
            "same hide each other."
        ),
    ]


def _added(card: Card) -> list[Markup]:
    found = card.explained
    if not found.inputs:
        return []
    most = max(one.value for one in found.inputs)
    rows = [_row(one.column, one.value, one.low, one.high, most=most) for one in found.inputs]
    return [
        element("h3", "What an input adds to its answers"),
        *_tables(
            ["input", f"mean |{found.scale}|", "95 % interval", ""], rows, label="Inputs by contribution"
        ),
        note(
            f"Shapley values, {_HOW[found.method]}, in {_UNITS[found.scale]}, on {words.plural(found.rows, 'test row')}: how far an input "
            "moves an answer up or down, on average. Row by row and by slice: treadle models explain "
            f"{card.version.model}/{card.version.version}"
        ),
    ]


def _row(column: str, value: float, low: float | None, high: float | None, *, most: float) -> list[str]:
    interval = "–" if low is None or high is None else f"{words.number(low)} to {words.number(high)}"
    share = value / most if most > 0 else 0.0
    return [element("code", words.shown(column)), words.number(value), interval, meter(share)]


def _tables(heads: Sequence[str], rows: list[list[str]], *, label: str) -> list[Markup]:
    """Return the first rows as a table, and the rest folded."""
    parts = [table(heads, rows[:_MOST_INPUTS], label=label, numeric=(1, 2), class_="owed")]
    if len(rows) > _MOST_INPUTS:
        rest = table(heads, rows[_MOST_INPUTS:], label=f"{label}: the rest", numeric=(1, 2), class_="owed")
        parts.append(folded(f"{len(rows) - _MOST_INPUTS} inputs that matter less", rest))
    return parts
