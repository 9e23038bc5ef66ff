"""Fires when the last run is older than it may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treadle.core.clock import parse_span
from treadle.loop.facts import Facts, Finding


@dataclass(frozen=True)
class Age:
    """Fire when the last run is at least this old, as `7d`; also when there was none.

    The age is that of the last run that came to an end, whatever its gates said: a candidate that was turned
    down is not trained again at every look. A run that lies as far ahead of the clock, because the clock went back,
    fires too: its age is not known.
    """

    limit: str

    def __post_init__(self) -> None:
        """Check the span."""
        parse_span(self.limit)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "age", "limit": self.limit}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        if facts.last_run is None:
            return Finding(fires=True, reason="there was no run yet")
        age = facts.now - facts.last_run
        days = age.total_seconds() / 86_400
        reason = f"the last run is {days:.1f} days old, of {self.limit} allowed"
        if days < 0:
            reason = f"the last run lies {-days:.1f} days ahead of the clock, of {self.limit} allowed"
        return Finding(fires=abs(age) >= parse_span(self.limit), reason=reason)

    def when(self, facts: Facts) -> datetime | None:
        """Return when it will fire if nothing else happens; None: it fires now."""
        return facts.last_run + parse_span(self.limit) if facts.last_run else None
