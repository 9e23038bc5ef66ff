"""Windows: the stretch of event time that a training run sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from treadle.core.clock import parse_span, utc
from treadle.core.errors import InvalidDeclaration
from treadle.core.records import Window


@dataclass(frozen=True)
class Last:
    """The last stretch before the run, as `Last("90d")`.

    >>> Last("90d").at(datetime(2013, 4, 1)).start.date().isoformat()
    '2013-01-01'
    """

    span: str

    def __post_init__(self) -> None:
        """Check what was declared."""
        if parse_span(self.span) <= timedelta(0):
            msg = f"Last({self.span!r}) holds no rows. Expected a span over zero, as Last('90d')."
            raise InvalidDeclaration(msg, field="window")

    def at(self, end: datetime) -> Window:
        """Return the window that ends at a moment."""
        return Window(start=utc(end) - parse_span(self.span), end=utc(end))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"window": "last", "span": self.span}


@dataclass(frozen=True)
class Expanding:
    """Everything before the run.

    >>> Expanding().at(datetime(2013, 4, 1)).start is None
    True
    """

    def at(self, end: datetime) -> Window:
        """Return the window that ends at a moment."""
        return Window(start=None, end=utc(end))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"window": "expanding"}
