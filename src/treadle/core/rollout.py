"""A rollout as it is kept: the way of one version from no traffic to all of it, or back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from treadle.core.records import Record, Variant

#: `running` and `paused` are open; the others are for ever.
RolloutStatus = Literal["running", "paused", "promoted", "rolled back", "failed"]
#: `waiting`: there is not enough to judge by yet.
GuardStatus = Literal["fine", "waiting", "bad"]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a rollout."""

    #: Share of the subjects that the challenger answers.
    share: float = 0.0
    #: Share of the requests that it is asked beside the answer.
    shadow: float = 0.0
    #: Seconds that the step lasts at least.
    bake: float
    #: Requests that the challenger has had in this step at least.
    requests: int

    def told(self) -> str:
        """Return the step in words.

        >>> Stage(share=0.05, bake=600, requests=100).told()
        '5 % of the subjects'
        """
        return (
            f"{self.share * 100:g} % of the subjects" if self.share else f"shadow of {self.shadow * 100:g} %"
        )


class GuardVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard said."""

    guard: str
    status: GuardStatus
    #: The verdict in words, with the numbers.
    reason: str
    #: Requests, rows or subjects of the challenger that it judged by.
    n: int = 0
    #: What was measured of the challenger and of the first variant.
    challenger: float | None = None
    primary: float | None = None
    #: The bounds that decided: of the challenger's number, or of the difference, as the reason says.
    low: float | None = None
    high: float | None = None
    #: The chance at most that it rolls back a challenger that is not worse, however often it looks.
    alpha: float | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a rollout."""

    at: datetime
    #: started, advanced, paused, resumed, promoted, rolled back, failed.
    what: str
    actor: str
    reason: str
    #: The step it was at afterwards, from 0.
    stage: int
    #: The endpoint's revision that this made; None: it changed no traffic.
    revision: int | None = None
    #: What the guards said then.
    verdicts: tuple[GuardVerdict, ...] = ()


class RolloutState(Record, frozen=True, kw_only=True):
    """A rollout: its plan, where it stands, and how it came there."""

    id: str
    endpoint: str
    #: What answered before, and answers whoever is not in the challenger's share.
    primary: Variant
    challenger: Variant
    stages: tuple[Stage, ...]
    #: The declarations of its guards.
    guards: tuple[dict[str, Any], ...]
    #: Whether it promotes the challenger after the last step; it stays there otherwise, until a person decides.
    promote: bool = True
    status: RolloutStatus = "running"
    #: The step it is at, from 0.
    stage: int = 0
    #: When that step began.
    since: datetime
    #: The endpoint's revision of that step.
    revision: int
    started_at: datetime
    history: tuple[Change, ...]

    @property
    def ref(self) -> str:
        """The reference of this record."""
        return f"rollout:{self.id}"

    @property
    def open(self) -> bool:
        """Whether it may still change."""
        return self.status in {"running", "paused"}

    @property
    def now(self) -> Stage:
        """The step it is at."""
        return self.stages[self.stage]

    @property
    def revisions(self) -> tuple[int, ...]:
        """The endpoint's revisions of its steps so far."""
        steps = (c.revision for c in self.history if c.what in {"started", "advanced"})
        return tuple(revision for revision in steps if revision is not None)

    def told(self) -> str:
        """Return where it stands, as part of a sentence."""
        last = self.history[-1]
        step = f"step {self.stage + 1} of {len(self.stages)} ({self.now.told()})"
        unguarded = "" if self.guards else ", UNGUARDED"
        if self.open:
            return f"{self.status}, {step}{unguarded}"
        return f"{self.status} by {last.actor}: {last.reason}"
