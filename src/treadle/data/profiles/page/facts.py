"""The numbers of one column: what is missing, how many values differ, means and quantiles, for one version or two."""

from __future__ import annotations

from collections.abc import Iterable

from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element
from treadle.data.profiles.page.overview import distinct_words
from treadle.data.profiles.page.parts import facts, table
from treadle.data.profiles.records import ColumnProfile, Lengths, Profile


def facts_table(column: ColumnProfile, before: ColumnProfile | None, found: Profile) -> Markup:
    """Return the numbers with their names; beside those of the earlier version where two are compared."""
    now, then = dict(_pairs(column)), dict(_pairs(before)) if before is not None else {}
    if not then or found.comparison is None:
        return facts(now.items())
    heads = ["", f"version {found.version}", f"version {found.comparison.before.version}"]
    rows = [[name, value, then.get(name, "–")] for name, value in now.items()]
    return table(heads, rows, label=f"{column.name} in both versions", numeric=(1, 2), class_="both")


def quantiles(column: ColumnProfile, before: ColumnProfile | None, found: Profile) -> Markup | None:
    """Return the quantiles in one row, least to greatest; in two where two versions are compared."""
    along = {"": dict(_along(column))}
    if before is not None and found.comparison is not None:
        along = {f"v{found.version}": along[""], f"v{found.comparison.before.version}": dict(_along(before))}
    heads = list(next(iter(along.values())))
    if not heads:
        return None
    names = element(
        "tr", *([element("td")] if before else []), *(element("th", name, scope="col") for name in heads)
    )
    rows = [
        element(
            "tr",
            *([element("th", label, scope="row")] if label else []),
            *(element("td", values.get(name, "–")) for name in heads),
        )
        for label, values in along.items()
    ]
    inside = element(
        "table",
        element("thead", names),
        element("tbody", *rows),
        class_="quantiles",
        aria_label=f"Quantiles of {column.name}",
    )
    return element("div", inside, class_="scroll")


def _along(column: ColumnProfile) -> Iterable[tuple[str, str]]:
    if column.quantiles:
        yield "least", _bound(column.min)
        for share, name in (
            ("0.05", "5 %"),
            ("0.25", "25 %"),
            ("0.5", "median"),
            ("0.75", "75 %"),
            ("0.95", "95 %"),
        ):
            yield name, words.number(column.quantiles[share])
        yield "greatest", _bound(column.max)


def _pairs(column: ColumnProfile) -> Iterable[tuple[str, str]]:
    missing = words.share(column.missing)
    yield (
        "missing",
        missing if column.missing in {0.0, 1.0} else f"{missing} ({words.count(column.missing_rows)})",
    )
    yield "different", distinct_words(column)
    if column.distinct == 1:
        yield "always", _bound(column.min)
    elif column.kind in {"int", "float"} and column.mean is not None:
        yield "mean", words.number(column.mean)
        yield "deviation", words.number(column.std)
        if column.zeros:
            yield "zero", words.share(column.zeros)
    elif column.kind == "bool" and column.mean is not None:
        yield "true", words.share(column.mean)
    elif column.kind in {"datetime", "date"}:
        yield "first", _bound(column.min)
        yield "last", _bound(column.max)
    if column.lengths is not None and column.distinct > 1:
        yield "characters", _lengths(column.lengths)


def _lengths(lengths: Lengths) -> str:
    if lengths.min == lengths.max:
        return f"{lengths.min}"
    return f"{lengths.min} to {lengths.max}, mean {words.number(lengths.mean)}"


def _bound(value: float | str | None) -> str:
    if isinstance(value, str):
        return value[:16].replace("T", " ")
    return words.number(value)
