"""Why a model was, or was not, trained at a moment: from the decisions that were kept, and from what the ledger says of then."""

from __future__ import annotations

from datetime import datetime

from treadle.core.ids import digest_of
from treadle.core.records import Alias, Decision, Record, Run
from treadle.loop.decisions import Decisions
from treadle.loop.facts import DRIFT, PERFORMED, Facts
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms

#: Runs, and moves of aliases, that are looked through.
_MOST = 10_000


class Why(Record, frozen=True, kw_only=True):
    """Why a model was due or not at a moment."""

    model: str
    at: datetime
    #: What was decided last, at or before the moment; ticks that say the same are not kept. None: nobody had looked yet.
    decision: Decision | None
    #: When another thing was decided after that; None: that is how it still stands.
    until: datetime | None = None
    #: The same policy on what the ledger says was known at the moment itself: the same sentences with the numbers of
    #: then. None: the policy was another one, or asks for what only monitoring knew.
    then: Decision | None = None
    #: What could be known then.
    facts: Facts
    #: Whether the policy that decided is the one that is declared now.
    same_policy: bool = True
    #: The run that was under way, or the last one before; None: there was none.
    run: Run | None = None
    #: How the version that answered then came to do so; None: none did.
    champion: Alias | None = None

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        if self.decision is None:
            return (
                "nobody had looked at the model yet: no watcher ran, and nobody called `treadle run --if-due`"
            )
        said = self.then or self.decision
        return f"{'due' if said.due else 'not due'}: {said.reason}"


def why(model: Model, rooms: Rooms, *, at: datetime | None = None) -> Why:
    """Say why a model was due, or not, at a moment (by default now); nothing is written."""
    decisions, moment = Decisions(rooms), at or rooms.clock.now()
    kept = decisions.list(model.name, limit=1, until=moment)
    decision = kept[0] if kept else None
    facts = decisions.facts(model) if at is None else decisions.facts_at(model, moment)
    same = decision is None or not decision.policy or decision.policy == digest_of(model.policy.spec())
    costly = any(need == DRIFT or need.startswith(PERFORMED) for need in model.policy.needs)
    runs = [run for run in rooms.runs.list(model=model.name, limit=_MOST) if run.started_at <= moment]
    moves = [move for move in rooms.models.history(model.name, "champion") if move.at <= moment]
    return Why(
        model=model.name,
        at=moment,
        decision=decision,
        until=decisions.next_after(model.name, moment),
        then=model.policy.decide(facts) if same and (at is None or not costly) else None,
        facts=facts,
        same_policy=same,
        run=runs[0] if runs else None,
        champion=max(moves, key=lambda move: move.at, default=None),
    )
