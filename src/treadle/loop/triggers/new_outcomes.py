"""Fires when enough outcomes have become known, or were corrected, since the last run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import OUTCOMES, Facts, Finding


@dataclass(frozen=True)
class NewOutcomes:
    """Fire when at least `outcomes` outcomes have become known or were corrected since the last run.

    `NewRows` counts rows that can be learnt from now and could not before; a corrected outcome adds none, and counts here.

    >>> NewOutcomes(5_000).spec()
    {'trigger': 'new_outcomes', 'outcomes': 5000}
    """

    outcomes: int

    def __post_init__(self) -> None:
        """Check the number."""
        if self.outcomes < 1:
            msg = f"NewOutcomes({self.outcomes!r}): expected a whole number of outcomes, 1 or more."
            raise InvalidDeclaration(msg, field="outcomes")

    @property
    def needs(self) -> frozenset[str]:
        """What it has to know besides counts of rows."""
        return frozenset({OUTCOMES})

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "new_outcomes", "outcomes": self.outcomes}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        since = "since the last run" if facts.last_run else "so far"
        reason = (
            f"{facts.new_outcomes:,} outcomes came or were corrected {since}, of {self.outcomes:,} needed"
        )
        return Finding(fires=facts.new_outcomes >= self.outcomes, reason=reason)

    def when(self, facts: Facts) -> datetime | None:
        """Return when it will fire if nothing else happens but outcomes coming as since the last run; None: nobody can say."""
        return facts.reaches(self.outcomes, have=facts.new_outcomes)
