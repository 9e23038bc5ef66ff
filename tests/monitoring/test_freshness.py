"""Freshness: what is stale, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from treadle.core.errors import InvalidInput
from treadle.monitoring.freshness import Freshness, Limits, freshness

NOW = datetime(2013, 12, 31, 12, tzinfo=UTC)


def look(limits: Limits | None = None, **ages: timedelta | None) -> Freshness:
    moments = {name: None if age is None else NOW - age for name, age in ages.items()}
    moments = {name: moments.get(name) for name in ("newest", "trained_until", "last_run")}
    return freshness("model:delay", now=NOW, limits=limits, **moments)


def test_ages_are_seconds() -> None:
    found = look(newest=timedelta(hours=1), trained_until=timedelta(days=2), last_run=timedelta(minutes=5))

    assert (found.data_age, found.model_age, found.run_age) == (3600, 172_800, 300)
    assert not found.is_stale


def test_what_is_older_than_its_limit_is_stale_and_says_so() -> None:
    limits = Limits(data="2d", model="7d", run="1d")

    found = look(limits, newest=timedelta(days=3, hours=4), trained_until=timedelta(days=6), last_run=None)

    assert found.stale == {
        "data": "The newest row is 3d4h old; the limit is 2d.",
        "run": "There was no run yet; the limit is 1d.",
    }
    assert found.text == " ".join(found.stale.values())


def test_an_age_of_exactly_the_limit_is_fresh() -> None:
    assert not look(Limits(data="2d"), newest=timedelta(days=2)).is_stale


def test_without_limits_nothing_is_stale() -> None:
    assert not look(newest=timedelta(days=9999)).is_stale


def test_rows_ahead_of_the_clock_are_noted() -> None:
    found = look(Limits(data="1d"), newest=timedelta(hours=-2))

    assert found.notes == ("The newest row is 2h ahead of the clock.",)
    assert (found.data_age, found.is_stale) == (-7200, False)


def test_a_limit_that_is_no_span_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'two days' is not a span"):
        Limits(data="two days")
