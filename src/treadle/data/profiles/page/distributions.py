"""The distribution of one column: bars for numbers, moments and lengths, a list for the commonest values."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.data.profiles import words
from treadle.data.profiles.page import charts, scales
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import folded, note, table
from treadle.data.profiles.records import ColumnProfile, Histogram, Profile

#: Characters from which a text is read and not counted.
_PROSE = 40


def distribution(
    column: ColumnProfile, found: Profile, before: ColumnProfile | None
) -> tuple[Markup | None, Markup | None]:
    """Return the chart of a column, and the same as a table."""
    if column.distinct <= 1:
        return None, None
    sampled = found.comparison.before.sampled if found.comparison else 0
    if column.histogram is not None:
        earlier = before.histogram if before else None
        line = [count / max(_counted(earlier), 1) for count in earlier.counts] if earlier else None
        return _histogram(column.histogram, column, line)
    if column.lengths is not None and column.lengths.histogram is not None and _is_prose(column):
        earlier = before.lengths.histogram if before and before.lengths else None
        line = [count / max(_counted(earlier), 1) for count in earlier.counts] if earlier else None
        return _histogram(column.lengths.histogram, column, line, what="characters")
    if column.top and column.top[0][1] > 1:
        return _top(column, found.sampled, before, sampled), None
    return None, None


def _is_prose(column: ColumnProfile) -> bool:
    """Say whether texts are long, or all different: then how long they are says more than which are the commonest."""
    return bool(column.lengths and column.lengths.mean > _PROSE) or bool(column.top and column.top[0][1] == 1)


def _counted(bins: Histogram) -> int:
    return sum(bins.counts) + bins.below + bins.above


def _histogram(
    bins: Histogram, column: ColumnProfile, line: Sequence[float] | None, *, what: str = ""
) -> tuple[Markup, Markup]:
    kind = "int" if what else column.kind
    labels = scales.bin_labels(bins, kind=kind)
    shares = [count / max(_counted(bins), 1) for count in bins.counts]
    titles = [
        f"{label}: {words.plural(count, 'row')}, {words.share(share)}"
        for label, count, share in zip(labels, bins.counts, shares, strict=True)
    ]
    label = f"Distribution of {column.name}, from {labels[0]} to {labels[-1]}; as a table below."
    shift = 0.5 if scales.is_single(bins, kind=kind) else 0.0
    figure = element(
        "figure",
        element("figcaption", what) if what else None,
        charts.bars(shares, label=label, titles=titles, line=line),
        charts.box(column.quantiles, low=bins.edges[0], high=bins.edges[-1], shift=shift),
        charts.axis(scales.ends(bins, kind=kind)),
        _outside(bins, kind=kind),
    )
    return figure, _bin_table(column.name, labels, bins, shares, line)


def _outside(bins: Histogram, *, kind: str) -> Markup | None:
    span = bins.edges[-1] - bins.edges[0]
    told = [
        f"{words.plural(count, 'row')} {side} {scales.edge(at, kind=kind, span=span)}"
        for count, side, at in ((bins.below, "below", bins.edges[0]), (bins.above, "above", bins.edges[-1]))
        if count
    ]
    return note("Not drawn: " + " and ".join(told) + ".") if told else None


def _bin_table(
    name: str, labels: Sequence[str], bins: Histogram, shares: Sequence[float], line: Sequence[float] | None
) -> Markup:
    heads = ["value", "rows", "share", *(["before"] if line else [])]
    rows = [
        [label, words.count(count), words.share(share), *([words.share(line[place])] if line else [])]
        for place, (label, count, share) in enumerate(zip(labels, bins.counts, shares, strict=True))
        if count or (line and line[place])
    ]
    return folded(
        "The distribution as a table", table(heads, rows, label=f"Distribution of {name}", numeric=(1, 2, 3))
    )


def _top(column: ColumnProfile, sampled: int, before: ColumnProfile | None, sampled_before: int) -> Markup:
    known = max(sampled * (1 - column.missing), 1.0)
    earlier = dict(before.top) if before else {}
    greatest = max(rows for _, rows in column.top)
    rows = []
    for value, count in column.top:
        bar = joined([charts.meter(count / greatest), words.share(count / known)])
        cells = [element("bdi", words.shown(value), title=value[:200]), bar, words.count(count)]
        if before is not None:
            there = earlier.get(value)
            known_before = max(sampled_before * (1 - before.missing), 1.0)
            cells.append(words.share(there / known_before) if there is not None else "not among its ten")
        rows.append(cells)
    heads = ["value", "share", "rows", *(["before"] if before is not None else [])]
    rest = column.distinct - len(column.top)
    shown = sum(count for _, count in column.top)
    tail = (
        note(
            f"{words.plural(rest, 'other value')} in {words.share(max(0.0, 1 - shown / known))} of the rows."
        )
        if rest > 0
        else None
    )
    return element(
        "figure",
        table(heads, rows, label=f"Commonest values of {column.name}", numeric=(2, 3), class_="top"),
        tail,
    )
