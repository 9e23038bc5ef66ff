"""What a model's trainings may use in a stretch of time: runs, hours of compute, money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import Facts


@dataclass(frozen=True)
class Budget:
    """At most so many runs, hours of compute and so much money within any stretch of `per`.

    Hours count each worker of a search; money is hours times the price of the place that they ran on (`td.Resources(price=…)`, or
    the setting `loop.price`). What the last run took is expected of the next one, so that the budget is not gone over
    by a run that was begun within it.

    >>> Budget(runs=4, per="7d").spec()
    {'runs': 4, 'hours': None, 'cost': None, 'per': '7d'}
    """

    runs: int | None = None
    hours: float | None = None
    cost: float | None = None
    per: str = "30d"

    def __post_init__(self) -> None:
        """Check what was declared."""
        if not parse_span(self.per):
            msg = f"Budget(per={self.per!r}): expected a span longer than nothing, as '7d'."
            raise InvalidDeclaration(msg, field="per")
        given = {"runs": self.runs, "hours": self.hours, "cost": self.cost}
        if all(value is None for value in given.values()):
            msg = "Budget() limits nothing. Expected runs=, hours= or cost=."
            raise InvalidDeclaration(msg, field="budget")
        for name, value in given.items():
            if value is not None and not value > 0:
                msg = f"Budget({name}={value!r}): expected more than 0; for a model that is never trained leave its triggers out."
                raise InvalidDeclaration(msg, field=name)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"runs": self.runs, "hours": self.hours, "cost": self.cost, "per": self.per}

    def refusal(self, facts: Facts) -> str:
        """Say why no run may be started now; empty: one may."""
        spent, free = facts.spent, ""
        if spent.oldest is not None:
            free = f"; the oldest of them no longer counts from {spent.oldest + parse_span(self.per):%Y-%m-%d %H:%M} UTC on"
        if self.runs is not None and spent.runs >= self.runs:
            return f"the budget is spent: {spent.runs} of {self.runs} runs in {self.per}{free}"
        for name, allowed, used, last in (
            ("hours", self.hours, spent.hours, spent.last_hours),
            ("cost", self.cost, spent.cost, spent.last_cost),
        ):
            # A run that alone takes more than all of it is tried once in a period, or the model would never be trained.
            if allowed is not None and used > 0 and used + min(last, allowed) > allowed:
                said = f"{used:.2f} of {allowed:g} {name} in {self.per}, and the last run took {last:.2f}"
                return f"the budget is spent: {said}{free}"
        return ""
