"""When a model is due, on which window it is trained, how often at most, and what becomes of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from treadle.core import plugins
from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, closest
from treadle.core.ids import digest_of
from treadle.core.records import Decision
from treadle.data.windows import Expanding, WindowRule
from treadle.loop.budgets import Budget
from treadle.loop.facts import Facts, Finding, needs_of
from treadle.loop.triggers.request import Request
from treadle.serving.plan import Rollout


class Trigger(Protocol):
    """A reason to train."""

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        ...


@dataclass(frozen=True)
class Policy:
    """Triggers, window, cool-down and action of a model.

    The model is due when any trigger fires, there is something new to learn from, and the last run was started
    at least `cooldown` ago. `action` is what becomes of a version that passed its gates: `replace` (it answers
    from now on), `canary` (it gets its traffic step by step, as the plan `rollout` says), `shadow` (it is asked beside the
    answer, until a person decides), `challenger` (it gets that alias and no traffic) or `alert` (a person is told).
    With `approval` that waits until a person has approved the version: `treadle models approve delay/7 --reason "..."`.
    Without triggers the model is only trained when somebody asks: by `treadle run`, or by `treadle request`, which waits neither
    for the cool-down nor for anything new. A `budget` limits what trainings may use in a stretch of time, whoever asks.

    A person is also told when what the champion has learnt from is older than `stale_after`, when the newest row of
    the dataset is older than `data_stale_after`, and when for `outcomes_stale_after` no outcome has become known; an empty
    span: as old as it likes.
    """

    triggers: Sequence[Trigger] = ()
    window: WindowRule = field(default_factory=Expanding)
    cooldown: str = "0s"
    budget: Budget | None = None
    action: str = "replace"
    rollout: Rollout | None = None
    approval: bool = False
    stale_after: str = ""
    data_stale_after: str = ""
    outcomes_stale_after: str = ""

    def __post_init__(self) -> None:
        """Check what was declared."""
        for span in (self.cooldown, self.stale_after, self.data_stale_after, self.outcomes_stale_after):
            if span:
                parse_span(span)
        if self.action not in plugins.available("action"):
            msg = f"No action named {self.action!r}. {closest(self.action, plugins.available('action'))}"
            raise InvalidDeclaration(msg, field="action")
        if self.rollout is not None and self.action not in {"canary", "shadow"}:
            msg = f"Policy(action={self.action!r}, rollout=…): the plan would never be used. Expected action='canary' or 'shadow'."
            raise InvalidDeclaration(msg, field="rollout")
        if self.approval and self.action == "alert":
            msg = "Policy(action='alert', approval=True): an alert needs no approval. Expected action='replace' or 'challenger'."
            raise InvalidDeclaration(msg, field="approval")
        budget: object = self.budget
        if budget is not None and not isinstance(budget, Budget):
            msg = f"budget is {budget!r}; expected for example td.Budget(runs=4, per='7d')."
            raise InvalidDeclaration(msg, field="budget")
        for trigger in self.triggers:
            if not hasattr(trigger, "check"):
                msg = (
                    f"{trigger!r} is not a trigger. Expected for example td.NewRows(20_000) or td.Age('7d')."
                )
                raise InvalidDeclaration(msg, field="triggers")

    @property
    def needs(self) -> frozenset[str]:
        """What its triggers have to know beyond counts and moments; see `loop.facts`."""
        return needs_of(self.triggers)

    def spec(self) -> dict[str, Any]:
        """Return what decides when the model is due, as plain values; a trigger of somebody's own may be its name only."""
        return {
            "triggers": [
                one.spec() if hasattr(one, "spec") else {"trigger": type(one).__name__}
                for one in self.triggers
            ],
            "window": self.window.spec(),
            "cooldown": self.cooldown,
            "budget": self.budget.spec() if self.budget else None,
            "action": self.action,
        }

    def decide(self, facts: Facts) -> Decision:
        """Say whether the model is due, with a reason for every trigger and guard; pure."""
        findings = [(type(trigger).__name__, trigger.check(facts)) for trigger in self.triggers]
        if facts.requests:
            findings.insert(0, (Request.__name__, Request().check(facts)))
        details = [f"{name}: {found.reason}" for name, found in findings]
        fired = [f"{name}: {found.reason}" for name, found in findings if found.fires]
        held = self._held_back(facts)
        if held:
            details.append(held)
        due = bool(fired) and not held
        if not findings:
            reason = "the policy has no triggers: it is trained when somebody asks"
        elif due:
            reason = fired[0]
        else:
            reason = held or "no trigger fires: " + "; ".join(details)
        return Decision(
            model=facts.model,
            at=facts.now,
            due=due,
            reason=reason,
            details=tuple(details),
            action=self.action,
            told=tuple(f"{name}: {found.told}" for name, found in findings if found.told),
            harm=tuple(f"{name}: {found.harm}" for name, found in findings if found.harm),
            policy=digest_of(self.spec()),
        )

    def _held_back(self, facts: Facts) -> str:
        if facts.rows == 0:
            return "no row has a known outcome yet"
        if not facts.requests and not facts.is_anything_new:
            return "nothing new to learn from since the last run"
        return self._cooling(facts) or (self.budget.refusal(facts) if self.budget else "")

    def _cooling(self, facts: Facts) -> str:
        if facts.last_attempt is None:
            return ""
        cooldown = timedelta(0) if facts.requests else parse_span(self.cooldown)
        wait = max(cooldown, _after_failures(facts.failures))
        ready = facts.last_attempt + wait
        # An attempt that lies further ahead than that was made before the clock went back: it holds nothing up.
        if not facts.last_attempt - wait <= facts.now < ready:
            return ""
        why = f"after {facts.failures} failed runs in a row" if facts.failures else "since the last run"
        return f"cooling down until {ready:%Y-%m-%d %H:%M} UTC, {why}"


def _after_failures(failures: int) -> timedelta:
    """Ten minutes after the first failure, doubled for each one more, a day at most."""
    return (
        min(timedelta(minutes=10) * 2 ** min(failures - 1, 10), timedelta(days=1))
        if failures
        else timedelta(0)
    )
