"""What a policy may know when it decides: counts and moments, and nothing that could not be known then."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from treadle.core.drift import Drift
from treadle.core.records import Record


class Request(Record, frozen=True, kw_only=True):
    """Somebody's wish that a model be trained."""

    id: str
    model: str
    at: datetime
    actor: str
    reason: str
    #: The run that was started for it; empty: it waits.
    run: str = ""


class Performed(Record, frozen=True, kw_only=True):
    """How good the version that answers has been since some moment, beside its own test rows; losses: larger is worse."""

    metric: str
    version: int
    since: datetime
    #: Answers whose outcome is known.
    n: int
    value: float
    #: What the same version's loss was on its test rows.
    expected: float
    #: `value - expected` is at least this, by an interval that holds at every look.
    low: float


class Spent(Record, frozen=True, kw_only=True):
    """What a model's runs have used within the period of its budget."""

    runs: int = 0
    hours: float = 0.0
    cost: float = 0.0
    #: The same of the last run alone: what the next one will probably take.
    last_hours: float = 0.0
    last_cost: float = 0.0
    #: When the oldest run that counts was started: with it something becomes free again.
    oldest: datetime | None = None


class Facts(Record, frozen=True, kw_only=True):
    """The state of the world for one model at one moment."""

    model: str
    now: datetime
    #: Rows that can be trained on now: accepted, with a known outcome.
    rows: int
    #: The same number when the last run read its data; 0: there was no run.
    rows_at_last_run: int = 0
    #: When the last run that did not fail was started; None: there was none.
    last_run: datetime | None = None
    #: When the newest attempt was started, and how many in a row failed up to it.
    last_attempt: datetime | None = None
    failures: int = 0
    #: When the version that answers now was made; None: there is none.
    champion_since: datetime | None = None
    #: Outcomes that became known, or were corrected, since the last run read its data.
    new_outcomes: int = 0
    #: Digest of the contract that the newest rows met, and of the one at the last run; empty: not known.
    contract: str = ""
    contract_at_last_run: str = ""
    #: What people asked for and nothing was done about yet, oldest first.
    requests: tuple[Request, ...] = ()
    #: What monitoring says of drift; None: nothing.
    drift: Drift | None = None
    #: By span, as `28d`: how good the answers of the last so long were; one that is not there is not known.
    performed: dict[str, Performed] = msgspec.field(default_factory=dict)
    spent: Spent = Spent()

    @property
    def new_rows(self) -> int:
        """Rows that came since the last run."""
        return self.rows - self.rows_at_last_run

    def reaches(self, wanted: int, *, have: int) -> datetime | None:
        """Return when a count since the last run will be reached if it goes on growing as it did; None: nobody can say."""
        passed = self.now - self.last_run if self.last_run else timedelta(0)
        if have <= 0 or passed <= timedelta(0):
            return None
        return self.now + passed * (max(wanted - have, 0) / have)

    @property
    def is_anything_new(self) -> bool:
        """Whether there is something to learn from that the last run has not seen."""
        return self.last_run is None or self.new_rows > 0 or self.new_outcomes > 0


class Finding(Record, frozen=True, kw_only=True):
    """What one trigger says: whether it fires, and why."""

    fires: bool
    reason: str
    #: What a person should be told although it does not fire; empty: nothing.
    told: str = ""
    #: What says that the answers are worse than they were, whether it fires or not; empty: nothing does.
    harm: str = ""


#: What a trigger may ask for beyond counts and moments, as it costs something to find out: `outcomes`, `drift`, `performed 28d`.
OUTCOMES, DRIFT, PERFORMED = "outcomes", "drift", "performed"


def needs_of(triggers: Iterable[Any]) -> frozenset[str]:
    """Return what some triggers need to know: those that say nothing need counts and moments only."""
    return frozenset[str]().union(*(getattr(trigger, "needs", frozenset[str]()) for trigger in triggers))
