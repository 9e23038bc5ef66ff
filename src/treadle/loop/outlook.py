"""What a policy will do next, and when: the triggers' own forecasts, if everything goes on as it does."""

from __future__ import annotations

from datetime import datetime

from treadle.core.clock import parse_span
from treadle.core.records import Decision, Record
from treadle.loop.facts import Facts
from treadle.loop.policies import Policy

#: Triggers whose moment is a guess from the pace of what comes; of the others it is certain.
_GUESSED = ("NewRows", "NewOutcomes")
_DOES = {
    "replace": "a version that passes its gates answers at once",
    "canary": "a version that passes its gates gets the traffic step by step",
    "shadow": "a version that passes its gates is asked beside the answer",
    "challenger": "a version that passes its gates becomes the challenger",
    "alert": "a version that passes its gates is told to a person",
}


class Outlook(Record, frozen=True, kw_only=True):
    """When a model will probably be trained next, and what becomes of the version."""

    model: str
    #: When a trigger will fire first; None: none can say, as it waits for something that nobody foresees.
    at: datetime | None = None
    #: The trigger that will, as `NewRows`; empty: none can say.
    by: str = ""
    #: Whether the moment is a guess from the pace of what comes.
    is_guess: bool = False
    #: What is done then, in words.
    then: str


def outlook(policy: Policy, facts: Facts, decision: Decision) -> Outlook:
    """Say what a policy will do next; pure. A model that is due now is due now."""
    then = _DOES.get(policy.action, f"a version that passes its gates gets the action {policy.action}")
    if policy.approval:
        then = f"a version that passes its gates waits for a person; once approved, it {then.removeprefix('a version that passes its gates ')}"
    if decision.due:
        by = decision.reason.partition(":")[0]
        return Outlook(model=facts.model, at=facts.now, by=by, then=then)
    ready = facts.last_attempt + parse_span(policy.cooldown) if facts.last_attempt else facts.now
    found = [
        (max(moment, ready, facts.now), type(trigger).__name__)
        for trigger in policy.triggers
        if hasattr(trigger, "when") and (moment := trigger.when(facts)) is not None
    ]
    if not found:
        return Outlook(model=facts.model, then=then)
    at, by = min(found)
    return Outlook(model=facts.model, at=at, by=by, is_guess=by in _GUESSED, then=then)
