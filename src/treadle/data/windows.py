"""Windows: the stretch of event time that a training run sees, and how its rows weigh."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from treadle.core.clock import parse_span, utc
from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.core.records import Window

#: Tumbling windows are counted from this Monday.
_ORIGIN = datetime(1970, 1, 5, tzinfo=UTC)


class WindowRule(Protocol):
    """Says which stretch a run sees that is made at some moment."""

    def at(self, end: datetime) -> Window:
        """Return the window of a run that knows what happened before `end`."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...


@dataclass(frozen=True)
class Last:
    """The last stretch before the run, as `Last("90d")`: a window that slides along.

    >>> Last("90d").at(datetime(2013, 4, 1)).start.date().isoformat()
    '2013-01-01'
    """

    span: str

    def __post_init__(self) -> None:
        """Check what was declared."""
        _positive(self.span, where=f"Last({self.span!r})")

    def at(self, end: datetime) -> Window:
        """Return the window that ends at a moment."""
        return Window(start=utc(end) - parse_span(self.span), end=utc(end))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"window": "last", "span": self.span}


@dataclass(frozen=True)
class Tumbling:
    """The last whole stretch of a row of equal ones, as `Tumbling("7d")`: weeks that begin on Monday, in UTC.

    >>> Tumbling("7d").at(datetime(2013, 4, 3)).end.date().isoformat()
    '2013-04-01'
    """

    span: str

    def __post_init__(self) -> None:
        """Check what was declared."""
        _positive(self.span, where=f"Tumbling({self.span!r})")

    def at(self, end: datetime) -> Window:
        """Return the last whole window that ends at a moment or before."""
        span = parse_span(self.span)
        last = _ORIGIN + (utc(end) - _ORIGIN) // span * span
        return Window(start=last - span, end=last)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"window": "tumbling", "span": self.span}


@dataclass(frozen=True)
class Expanding:
    """Everything before the run, or everything since a moment.

    >>> Expanding().at(datetime(2013, 4, 1)).start is None
    True
    """

    since: datetime | None = None

    def at(self, end: datetime) -> Window:
        """Return the window that ends at a moment."""
        return Window(start=None if self.since is None else utc(self.since), end=utc(end))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        since = {} if self.since is None else {"since": utc(self.since).isoformat()}
        return {"window": "expanding", **since}


@dataclass(frozen=True)
class Decayed:
    """A window in which older rows weigh less: half as much for each `half_life` before its end.

    `Decayed("30d")` looks at everything, `Decayed("30d", within=Last("1y"))` at the rows of another window. The weights are
    in `data.train.weights`: pass them to the estimator, as `fit(X, y, sample_weight=data.train.weights)`.

    >>> Decayed("30d").at(datetime(2013, 4, 1)).half_life
    2592000.0
    """

    half_life: str
    within: Last | Tumbling | Expanding = Expanding()

    def __post_init__(self) -> None:
        """Check what was declared."""
        _positive(self.half_life, where=f"Decayed({self.half_life!r})")

    def at(self, end: datetime) -> Window:
        """Return the window that ends at a moment."""
        return msgspec.structs.replace(
            self.within.at(end), half_life=parse_span(self.half_life).total_seconds()
        )

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"window": "decayed", "half_life": self.half_life, "within": self.within.spec()}


def back_fill(rule: WindowRule, *, since: datetime, until: datetime, every: str) -> list[Window]:
    """Return the windows of runs at `since`, `since + every`, … up to `until`, each window once.

    >>> [w.end.day for w in back_fill(Last("1d"), since=datetime(2013, 1, 1), until=datetime(2013, 1, 5), every="2d")]
    [1, 3, 5]
    """
    step = _positive(every, where=f"back_fill(every={every!r})")
    if utc(until) < utc(since):
        msg = f"until={until} is before since={since}. Give the earlier moment first."
        raise InvalidInput(msg, field="until")
    moments = (utc(since) + n * step for n in range((utc(until) - utc(since)) // step + 1))
    return list(dict.fromkeys(rule.at(moment) for moment in moments))


def _positive(span: str, *, where: str) -> timedelta:
    found = parse_span(span)
    if found <= timedelta(0):
        msg = f"{where} holds no rows. Expected a span over zero, as '90d'."
        raise InvalidDeclaration(msg, field="window")
    return found
