"""Policies decide on facts alone: when a model is due, and in words why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.loop.facts import Facts
from treadle.loop.policies import Policy
from treadle.loop.triggers.age import Age
from treadle.loop.triggers.new_rows import NewRows

NOW = datetime(2013, 6, 1, 12, tzinfo=UTC)


def facts(**known: Any) -> Facts:
    return Facts(**({"model": "delay", "now": NOW, "rows": 1000} | known))


def ran(ago: timedelta, **known: Any) -> Facts:
    """A world in which the last run, a good one, was started some time ago."""
    at = NOW - ago
    return facts(**({"last_run": at, "last_attempt": at, "rows_at_last_run": 400} | known))


def test_the_first_trigger_that_fires_is_the_reason() -> None:
    policy = Policy(triggers=[NewRows(5000), Age("7d")])

    said = policy.decide(ran(timedelta(days=8)))

    assert said.due
    assert said.reason == "Age: the last run is 8.0 days old, of 7d allowed"
    assert said.details == (
        "NewRows: 600 new rows since the last run, of 5,000 needed",
        "Age: the last run is 8.0 days old, of 7d allowed",
    )
    assert (said.model, said.at, said.action) == ("delay", NOW, "replace")


def test_when_no_trigger_fires_every_one_says_why() -> None:
    policy = Policy(triggers=[NewRows(5000), Age("7d")])

    said = policy.decide(ran(timedelta(days=2)))

    assert not said.due
    assert said.reason == (
        "no trigger fires: NewRows: 600 new rows since the last run, of 5,000 needed; "
        "Age: the last run is 2.0 days old, of 7d allowed"
    )


def test_without_triggers_a_model_is_never_due() -> None:
    said = Policy().decide(facts())

    assert not said.due
    assert said.reason == "the policy has no triggers: it is trained when somebody asks"


def test_without_known_outcomes_nothing_is_due() -> None:
    said = Policy(triggers=[Age("7d")]).decide(facts(rows=0))

    assert not said.due
    assert said.reason == "no row has a known outcome yet"
    assert said.details[-1] == said.reason


def test_an_old_model_is_not_trained_again_on_what_it_has_seen() -> None:
    said = Policy(triggers=[Age("7d")]).decide(ran(timedelta(days=30), rows_at_last_run=1000))

    assert not said.due
    assert said.reason == "nothing new to learn from since the last run"


@pytest.mark.parametrize(
    ("ago", "due"), [(timedelta(hours=23, minutes=59), False), (timedelta(days=1), True)]
)
def test_the_cooldown_ends_to_the_second(ago: timedelta, due: bool) -> None:
    said = Policy(triggers=[NewRows(1)], cooldown="1d").decide(ran(ago))

    assert said.due is due
    if not due:
        assert said.reason == "cooling down until 2013-06-01 12:01 UTC, since the last run"


@pytest.mark.parametrize(
    ("failures", "waits"),
    [
        (1, timedelta(minutes=10)),
        (2, timedelta(minutes=20)),
        (3, timedelta(minutes=40)),
        (8, timedelta(minutes=1280)),
        (9, timedelta(days=1)),
        (50, timedelta(days=1)),
    ],
)
def test_failures_are_tried_again_later_and_later(failures: int, waits: timedelta) -> None:
    policy = Policy(triggers=[NewRows(1)])
    tick = timedelta(seconds=1)

    early = policy.decide(facts(last_attempt=NOW - waits + tick, failures=failures))
    late = policy.decide(facts(last_attempt=NOW - waits, failures=failures))

    assert not early.due
    assert f"after {failures} failed runs in a row" in early.reason
    assert late.due


def test_the_longer_of_cooldown_and_back_off_holds() -> None:
    policy = Policy(triggers=[NewRows(1)], cooldown="2d")

    said = policy.decide(facts(last_attempt=NOW - timedelta(days=1), failures=9))

    assert not said.due


def test_what_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="replace"):
        Policy(action="replaze")
    with pytest.raises(InvalidDeclaration, match="not a trigger"):
        Policy(triggers=["7d"])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="not a span"):
        Policy(cooldown="a day")


@pytest.mark.parametrize(("ahead", "due"), [(timedelta(hours=23), False), (timedelta(days=2), True)])
def test_an_attempt_from_before_the_clock_went_back_holds_up_no_longer_than_the_cooldown(
    ahead: timedelta, due: bool
) -> None:
    said = Policy(triggers=[NewRows(1)], cooldown="1d").decide(ran(-ahead))

    assert said.due is due


@pytest.mark.parametrize("limit", ["stale_after", "data_stale_after"])
def test_a_promise_that_is_no_span_is_refused(limit: str) -> None:
    with pytest.raises(InvalidInput, match="'a week' is not a span"):
        Policy(**{limit: "a week"})
