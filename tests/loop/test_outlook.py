"""What a policy will do next, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import treadle as td
from treadle.loop.facts import Facts
from treadle.loop.outlook import outlook
from treadle.loop.policies import Policy

NOW = datetime(2013, 6, 12, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def facts(**changes: object) -> Facts:
    """Ten days after a run; a hundred rows a day since."""
    ago = NOW - 10 * DAY
    said = {
        "rows": 2_000,
        "rows_at_last_run": 1_000,
        "last_run": ago,
        "last_attempt": ago,
        "new_outcomes": 50,
    }
    return Facts(model="delay", now=NOW, **{**said, **changes})


@pytest.mark.parametrize(
    ("trigger", "at", "guess"),
    [
        (td.NewRows(1_500), NOW + 5 * DAY, True),
        (td.NewOutcomes(100), NOW + 10 * DAY, True),
        (td.Age("21d"), NOW + 11 * DAY, False),
        (td.Every("1w"), datetime(2013, 6, 17, tzinfo=UTC), False),
        (td.Schedule("0 6 * * *"), datetime(2013, 6, 13, 6, tzinfo=UTC), False),
    ],
    ids=["rows", "outcomes", "age", "every", "schedule"],
)
def test_each_trigger_says_when(trigger: object, at: datetime, guess: bool) -> None:
    policy = Policy(triggers=[trigger])

    # On a schedule, the moment before this one has been used.
    known = (
        facts(last_run=NOW - timedelta(hours=1)) if isinstance(trigger, td.Schedule | td.Every) else facts()
    )
    found = outlook(policy, known, policy.decide(known))

    assert (found.at, found.by, found.is_guess) == (at, type(trigger).__name__, guess)


def test_the_first_of_several_triggers_counts_and_not_before_the_cooldown_is_over() -> None:
    policy = Policy(triggers=[td.Age("21d"), td.NewRows(1_500)], cooldown="18d")

    found = outlook(policy, facts(), policy.decide(facts()))

    assert (found.by, found.at) == ("NewRows", NOW + 8 * DAY)


def test_what_is_due_is_due_now_by_what_fired() -> None:
    policy = Policy(triggers=[td.NewRows(500)])

    found = outlook(policy, facts(), policy.decide(facts()))

    assert (found.by, found.at) == ("NewRows", NOW)


def test_nobody_can_say_when_without_anything_that_comes() -> None:
    policy = Policy(triggers=[td.NewRows(5_000)])
    still = facts(rows=1_000)

    found = outlook(policy, still, policy.decide(still))

    assert (found.at, found.by) == (None, "")


def test_an_approval_is_told() -> None:
    policy = Policy(action="canary", approval=True)

    found = outlook(policy, facts(), policy.decide(facts()))

    assert found.then == (
        "a version that passes its gates waits for a person; once approved, it gets the traffic step by step"
    )
