"""Scales: how the edges of bins and the starts of stretches are written under a chart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from treadle.data.profiles import words
from treadle.data.profiles.records import Histogram

_DAY_SECONDS = 86_400
_EPOCH_DAYS = date(1970, 1, 1).toordinal()
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)


def edge(value: float, *, kind: str, span: float) -> str:
    """Write the edge of a bin; `span` is the width of all bins, which says how finely moments are written.

    >>> edge(86400 * 366, kind="datetime", span=86400 * 90), edge(15706, kind="date", span=90)
    ('1971-01-02', '2013-01-01')
    """
    if kind == "date":
        return str(date.fromordinal(min(max(round(value) + _EPOCH_DAYS, 1), date.max.toordinal())))
    if kind != "datetime":
        return words.number(value)
    moment = _ZERO + timedelta(seconds=value)
    return words.moment(moment, every="1d" if span > 3 * _DAY_SECONDS else "1m" if span > 600 else "1s")


def bin_labels(histogram: Histogram, *, kind: str) -> list[str]:
    """Write each bin: from one edge to the next; whole numbers and days from the first to the last that is in it.

    >>> bin_labels(Histogram(edges=(0, 5, 10), counts=(1, 1)), kind="int")
    ['0 to 4', '5 to 9']
    """
    edges = histogram.edges
    span = edges[-1] - edges[0]
    if is_single(histogram, kind=kind):
        return [edge(low, kind=kind, span=span) for low in edges[:-1]]
    inside = 1 if kind in {"int", "date"} else 0
    return [
        f"{edge(low, kind=kind, span=span)} to {edge(high - inside, kind=kind, span=span)}"
        for low, high in pairwise(edges)
    ]


def is_single(histogram: Histogram, *, kind: str) -> bool:
    """Say whether each bin holds one whole number."""
    return kind == "int" and histogram.edges[1] - histogram.edges[0] == 1


def ends(histogram: Histogram, *, kind: str) -> list[str]:
    """Write the first edge, the middle and the last one; where bins are single whole numbers, the numbers."""
    low, high = histogram.edges[0], histogram.edges[-1]
    if is_single(histogram, kind=kind):
        middle = histogram.edges[(len(histogram.counts) - 1) // 2]
        values = dict.fromkeys((low, middle, high - 1) if len(histogram.counts) % 2 else (low, high - 1))
        return [edge(one, kind=kind, span=1) for one in values]
    return [edge(one, kind=kind, span=high - low) for one in (low, (low + high) / 2, high)]


def spread(starts: Sequence[datetime], *, every: str, first: datetime, labels: int = 5) -> list[str]:
    """Write a few starts, evenly spread; the first stretch may begin before the `first` row."""
    starts = [max(starts[0], first), *starts[1:]]
    if len(starts) <= labels:
        return [words.moment(start, every=every) for start in starts]
    places = [round(number * (len(starts) - 1) / (labels - 1)) for number in range(labels)]
    return [words.moment(starts[place], every=every) for place in places]
