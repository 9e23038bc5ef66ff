"""Where a policy is in a history: what it may know at a moment of it, and which of its trainings are certain beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from treadle.core.clock import parse_span
from treadle.core.records import Decision
from treadle.loop.facts import PERFORMED, Facts, Performed, Spent
from treadle.loop.frames import Known
from treadle.loop.history import History
from treadle.loop.policies import Policy
from treadle.loop.refits import Fits


@dataclass(eq=False)
class Course:
    """One policy on its way through a history."""

    model: str
    policy: Policy
    last_run: datetime | None = None
    rows_at_last_run: int = 0
    last_attempt: datetime | None = None
    failures: int = 0
    #: When it trained, and the hours that that took.
    spent: list[tuple[datetime, float]] = field(default_factory=list)

    def decide(
        self, moment: datetime, known: Known, performed: dict[str, Performed] | None = None
    ) -> Decision:
        """Say whether the model is due at a moment, and why."""
        return self.policy.decide(
            Facts(
                model=self.model,
                now=moment,
                rows=known.rows,
                rows_at_last_run=self.rows_at_last_run,
                last_run=self.last_run,
                last_attempt=self.last_attempt,
                failures=self.failures,
                new_outcomes=known.rows - self.rows_at_last_run,
                performed=performed or {},
                spent=self._spent(moment),
            )
        )

    def ran(self, moment: datetime, known: Known, *, seconds: float) -> None:
        """Note a training."""
        self.last_run, self.rows_at_last_run = moment, known.rows
        self.last_attempt, self.failures = moment, 0
        self.spent.append((moment, seconds / 3600))

    def failed(self, moment: datetime) -> None:
        """Note a training that came to nothing, as there was nothing to learn from: it is tried again, ever more seldom."""
        self.last_attempt, self.failures = moment, self.failures + 1

    def _spent(self, moment: datetime) -> Spent:
        budget = self.policy.budget
        if budget is None:
            return Spent()
        made = [(at, hours) for at, hours in self.spent if at > moment - parse_span(budget.per)]
        return Spent(
            runs=len(made),
            hours=sum(hours for _, hours in made),
            last_hours=made[-1][1] if made else 0.0,
            oldest=made[0][0] if made else None,
        )


def foresee(history: History, fits: Fits, policies: Iterable[Policy], moments: Sequence[datetime]) -> None:
    """Let all trainings begin that will be asked for whatever comes of them, the earliest first."""
    certain: list[tuple[datetime, Known, Any]] = []
    for policy in policies:
        if not _is_certain(policy):
            continue
        course = Course(history.model.name, policy)
        for moment in moments:
            known = history.known(moment)
            if course.decide(moment, known).due and known.until is not None:
                certain.append((moment, known, policy.window))
                course.ran(moment, known, seconds=0.0)
    for moment, known, window in sorted(certain, key=lambda one: one[0]):
        fits.start(moment, known, window)


def _is_certain(policy: Policy) -> bool:
    """Return whether a policy decides by counts and moments alone, and not by what its trainings came to or took."""
    budget = policy.budget
    return not any(need.startswith(PERFORMED) for need in policy.needs) and (
        budget is None or not (budget.hours or budget.cost)
    )
