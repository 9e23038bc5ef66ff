"""Aggregates: what a feature view says about an entity's events of the last hours or days, as of each row's time.

An aggregate over a span, asked at time t, takes the entity's events with `t - span <= time <= t` (both ends count, as with
a ttl) that had arrived by t. A null value, and NaN, does not count, except that `Last` takes the last event's value as it
is. Where no event is in the window, `Count`, `Distinct` and `Sum` are zero and the others are null.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, InvalidInput

__all__ = ["Count", "Distinct", "Last", "Max", "Mean", "Min", "Sum"]

_NO_NUMBERS = frozenset({"str", "datetime", "date", "uuid", "vector"})


@dataclass(frozen=True)
class Aggregate:
    """Something that is made of one column of the events in a window."""

    #: The column of the view's source.
    column: str
    #: The window's length, as '24h'.
    over: str
    #: The kinds of a contract's columns of which it cannot be made.
    unfit: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        """Check what was declared."""
        column: object = self.column
        if not isinstance(column, str) or not (column or self._takes_rows):
            raise self._wrong("column", "expected a column's name")
        try:
            length = parse_span(self.over)
        except (InvalidInput, TypeError) as error:
            raise self._wrong("over", "expected a span such as '24h'") from error
        if not length:
            raise self._wrong("over", "expected longer than nothing")

    @property
    def span(self) -> timedelta:
        """The window's length."""
        return parse_span(self.over)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the source that it needs."""
        return (self.column,) if self.column else ()

    def spec(self) -> dict[str, Any]:
        """Return what decides its result besides the data, as plain values."""
        return {"aggregate": type(self).__name__.lower(), "column": self.column, "over": self.over}

    @property
    def _takes_rows(self) -> bool:
        """Whether it makes sense without a column."""
        return False

    def _wrong(self, field: str, expected: str) -> InvalidDeclaration:
        msg = f"{type(self).__name__}: {field} is {getattr(self, field)!r}; {expected}."
        return InvalidDeclaration(msg, field=field)


@dataclass(frozen=True)
class Count(Aggregate):
    """How many events there are; of a column: how many have a value in it.

    >>> Count(over="1h").columns, Count("amount", over="1h").columns
    ((), ('amount',))
    """

    column: str = ""
    over: str = ""

    @property
    def _takes_rows(self) -> bool:
        return True


@dataclass(frozen=True)
class Sum(Aggregate):
    """The sum of a column. Whole numbers stay whole; others are added exactly and rounded once, whatever their order.

    >>> Sum("amount", over="24h").span
    datetime.timedelta(days=1)
    """

    unfit = _NO_NUMBERS


@dataclass(frozen=True)
class Mean(Aggregate):
    """The mean of a column: its sum, rounded once, divided by the number of its values."""

    unfit = _NO_NUMBERS


@dataclass(frozen=True)
class Distinct(Aggregate):
    """How many different values a column has."""


@dataclass(frozen=True)
class Min(Aggregate):
    """The least value of a column: a number, a moment, a text."""

    unfit = frozenset({"vector"})


@dataclass(frozen=True)
class Max(Aggregate):
    """The greatest value of a column: a number, a moment, a text."""

    unfit = frozenset({"vector"})


@dataclass(frozen=True)
class Last(Aggregate):
    """The value of the last event, by time, arrival and landing; also where that event has none."""
