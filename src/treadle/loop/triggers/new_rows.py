"""Fires when enough new rows have come since the last run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import Facts, Finding


@dataclass(frozen=True)
class NewRows:
    """Fire when at least `rows` rows with a known outcome have come since the last run.

    >>> NewRows(20_000).spec()
    {'trigger': 'new_rows', 'rows': 20000}
    """

    rows: int

    def __post_init__(self) -> None:
        """Check the number."""
        if self.rows < 1:
            msg = f"NewRows({self.rows!r}): expected a whole number of rows, 1 or more."
            raise InvalidDeclaration(msg, field="rows")

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "new_rows", "rows": self.rows}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        since = "since the last run" if facts.last_run else "so far"
        reason = f"{facts.new_rows:,} new rows {since}, of {self.rows:,} needed"
        return Finding(fires=facts.new_rows >= self.rows, reason=reason)

    def when(self, facts: Facts) -> datetime | None:
        """Return when it will fire if nothing else happens but rows coming as since the last run; None: nobody can say."""
        return facts.reaches(self.rows, have=facts.new_rows)
