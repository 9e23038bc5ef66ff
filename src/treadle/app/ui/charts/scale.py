"""Scales: where a value lies on a drawing, and which values are written beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Scale:
    """The stretch between two ends, as 0 to 1."""

    low: float
    high: float

    @classmethod
    def over(cls, values: Iterable[float], *, room: float = 0.0) -> Scale:
        """Return the scale that holds all values, with some room at its ends."""
        known = [value for value in values if math.isfinite(value)]
        low, high = min(known, default=0.0), max(known, default=1.0)
        spread = (high - low) or abs(high) or 1.0
        margin = room * spread if high > low else spread / 2
        return cls(low - margin, high + margin)

    def at(self, value: float) -> float:
        """Return where a value lies."""
        return min(max((value - self.low) / ((self.high - self.low) or 1.0), 0.0), 1.0)

    def ticks(self, most: int = 4) -> list[float]:
        """Return round values inside the scale.

        >>> Scale(0.31, 0.57).ticks()
        [0.4, 0.5]
        """
        spread = (self.high - self.low) or 1.0
        step = 10.0 ** math.floor(math.log10(spread / most))
        step = next(step * by for by in (1, 2, 5, 10, 20) if spread / (step * by) <= most)
        first = math.ceil(self.low / step)
        count = math.floor(self.high / step) - first + 1
        return [round((first + i) * step, 12) for i in range(max(count, 0))]


def moments(low: float, high: float, most: int = 5) -> Sequence[tuple[float, str]]:
    """Return round moments between two (seconds since 1970), each with how it is written.

    >>> moments(1359676800.0, 1388534400.0, 4)
    [(1364774400.0, 'Apr 2013'), (1372636800.0, 'Jul 2013'), (1380585600.0, 'Oct 2013'), (1388534400.0, 'Jan 2014')]
    """
    start, end = datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC)
    span = end - start
    if span > 75 * _DAY:
        return _months(start, end, most)
    for step, written in _STEPS:
        if span / step <= most:
            first = math.ceil(low / step.total_seconds())
            last = math.floor(high / step.total_seconds())
            found = (i * step.total_seconds() for i in range(first, last + 1))
            return [(at, datetime.fromtimestamp(at, UTC).strftime(written)) for at in found]
    return []


_STEPS = (
    (timedelta(minutes=1), "%H:%M"),
    (timedelta(minutes=5), "%H:%M"),
    (timedelta(minutes=15), "%H:%M"),
    (timedelta(hours=1), "%H:%M"),
    (timedelta(hours=3), "%H:%M"),
    (timedelta(hours=6), "%d %b %H:%M"),
    (timedelta(hours=12), "%d %b %H:%M"),
    *((timedelta(days=days), "%d %b") for days in (1, 2, 3, 5, 7, 14, 21)),
)


def _months(start: datetime, end: datetime, most: int) -> list[tuple[float, str]]:
    months = (end.year - start.year) * 12 + end.month - start.month
    step = next((step for step in (1, 2, 3, 6, 12, 24, 60, 120) if months / step <= most), 240)
    written = "%b %Y" if step < 12 else "%Y"
    place = start.year * 12 + start.month - 1
    place += -place % step
    found: list[tuple[float, str]] = []
    while True:
        at = datetime(place // 12, place % 12 + 1, 1, tzinfo=UTC)
        if at > end:
            return found
        if at >= start:
            found.append((at.timestamp(), at.strftime(written)))
        place += step
