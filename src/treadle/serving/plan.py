"""The plan of a rollout as people declare it: `td.Rollout(steps=[0.05, 0.25, 0.5], bake="10m")`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration
from treadle.core.rollout import Stage
from treadle.serving.guard import Guard
from treadle.serving.guards.errors import Errors
from treadle.serving.guards.latency import Latency

#: Guards that need nothing but the requests themselves, so that every rollout may have them.
USUAL: tuple[Guard, ...] = (Errors(), Latency())


@dataclass(frozen=True)
class Rollout:
    """How a version gets its traffic: a shadow first, if asked for, then growing shares of the subjects, then all of it.

    Each step lasts at least `bake` and until the challenger has had `requests`, and every guard has enough to judge by. A guard
    that says no rolls back at once. `shadow` is the share of the requests that the challenger is first asked beside
    the answer; 0: there is no such step. Without `promote` it stays at the last step until a person decides. `guards` are by default `Errors()` and `Latency()`; with `[]` the rollout is
    unguarded, and says so wherever it is shown.

    >>> [stage.share for stage in Rollout(steps=[0.1, 0.5]).stages]
    [0.1, 0.5]

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    steps: Sequence[float] = (0.05, 0.25, 0.5)
    bake: str = "10m"
    requests: int = 100
    shadow: float = 0.0
    guards: Sequence[Guard] = USUAL
    promote: bool = True

    def __post_init__(self) -> None:
        """Check what was declared."""
        parse_span(self.bake)
        steps = list(self.steps)
        if any(not 0 < step < 1 for step in steps) or sorted(set(steps)) != steps:
            msg = f"Rollout(steps={steps}): expected growing shares between 0 and 1, as [0.05, 0.25, 0.5]."
            raise InvalidDeclaration(msg, field="steps")
        if not 0 <= self.shadow <= 1:
            msg = f"Rollout(shadow={self.shadow}): expected a share of the requests, from 0 to 1."
            raise InvalidDeclaration(msg, field="shadow")
        if not steps and not self.shadow:
            msg = "Rollout(steps=[], shadow=0): expected a step at least. To replace at once, promote the version."
            raise InvalidDeclaration(msg, field="steps")
        if self.requests < 0:
            msg = f"Rollout(requests={self.requests}): expected 0 or more."
            raise InvalidDeclaration(msg, field="requests")
        given: Sequence[object] = self.guards
        for guard in given:
            if not isinstance(guard, Guard):
                msg = f"{guard!r} is not a guard. Expected for example td.guards.Errors() or td.guards.Latency()."
                raise InvalidDeclaration(msg, field="guards")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The steps, the shadow among them."""
        bake = parse_span(self.bake).total_seconds()
        beside = [Stage(shadow=self.shadow, bake=bake, requests=self.requests)] if self.shadow else []
        return (*beside, *(Stage(share=share, bake=bake, requests=self.requests) for share in self.steps))
