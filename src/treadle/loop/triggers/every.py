"""Fires on a schedule: once in each stretch of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import Facts, Finding

#: A Monday, so that `Every("1w")` starts on Mondays and `Every("1d")` at midnight UTC.
_ORIGIN = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Every:
    """Fire once in each stretch of `span`, counted from midnight UTC of a Monday.

    `offset` moves the start: `Every("1d", offset="3h")` fires at 03:00 UTC. A stretch that was slept through is
    made up for once, not once for each one missed.
    """

    span: str
    offset: str = "0s"

    def __post_init__(self) -> None:
        """Check the spans."""
        if parse_span(self.span) <= timedelta(0):
            msg = f"Every({self.span!r}): expected a span longer than nothing, as '1d'."
            raise InvalidDeclaration(msg, field="span")
        parse_span(self.offset)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "every", "span": self.span, "offset": self.offset}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        span, origin = parse_span(self.span), _ORIGIN + parse_span(self.offset)
        begun = origin + ((facts.now - origin) // span) * span
        # A run further ahead than the next stretch was made before the clock went back.
        fires = facts.last_run is None or not begun <= facts.last_run < begun + 2 * span
        moment = f"{begun if fires else begun + span:%Y-%m-%d %H:%M}"
        reason = f"scheduled for {moment} UTC" if fires else f"next scheduled for {moment} UTC"
        return Finding(fires=fires, reason=reason)

    def when(self, facts: Facts) -> datetime | None:
        """Return when it will fire if nothing else happens."""
        span, origin = parse_span(self.span), _ORIGIN + parse_span(self.offset)
        return origin + ((facts.now - origin) // span + 1) * span
