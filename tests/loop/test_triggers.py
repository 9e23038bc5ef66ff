"""Each trigger fires exactly at its limit, and says in words what it looks at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.loop.facts import Facts
from treadle.loop.triggers.age import Age
from treadle.loop.triggers.every import Every
from treadle.loop.triggers.new_rows import NewRows

NOW = datetime(2013, 6, 5, 12, tzinfo=UTC)  # a Wednesday


def facts(**known: Any) -> Facts:
    return Facts(**({"model": "delay", "now": NOW, "rows": 1000} | known))


@pytest.mark.parametrize(("before", "fires"), [(901, False), (900, True), (0, True)])
def test_new_rows_counts_since_the_last_run(before: int, fires: bool) -> None:
    found = NewRows(100).check(facts(rows_at_last_run=before, last_run=NOW))

    assert found.fires is fires
    assert found.reason == f"{1000 - before:,} new rows since the last run, of 100 needed"


def test_new_rows_before_the_first_run_counts_all() -> None:
    found = NewRows(2000).check(facts())

    assert not found.fires
    assert found.reason == "1,000 new rows so far, of 2,000 needed"


@pytest.mark.parametrize(
    ("ago", "fires"), [(timedelta(days=7) - timedelta(seconds=1), False), (timedelta(days=7), True)]
)
def test_age_fires_at_its_limit(ago: timedelta, fires: bool) -> None:
    assert Age("7d").check(facts(last_run=NOW - ago)).fires is fires


def test_age_fires_when_the_last_run_lies_ahead_of_a_clock_that_went_back() -> None:
    found = Age("7d").check(facts(last_run=NOW + timedelta(days=9)))

    assert found.fires
    assert found.reason == "the last run lies 9.0 days ahead of the clock, of 7d allowed"


def test_every_fires_when_the_last_run_lies_ahead_of_a_clock_that_went_back() -> None:
    assert Every("1d").check(facts(last_run=NOW + timedelta(days=3))).fires


def test_age_fires_when_there_was_no_run() -> None:
    found = Age("7d").check(facts())

    assert found.fires
    assert found.reason == "there was no run yet"


@pytest.mark.parametrize(
    ("every", "last", "fires", "reason"),
    [
        (Every("1w"), datetime(2013, 6, 3, 0, tzinfo=UTC), False, "next scheduled for 2013-06-10 00:00 UTC"),
        (Every("1w"), datetime(2013, 6, 2, 23, tzinfo=UTC), True, "scheduled for 2013-06-03 00:00 UTC"),
        (
            Every("1d", offset="13h"),
            datetime(2013, 6, 4, 13, tzinfo=UTC),
            False,
            "next scheduled for 2013-06-05 13:00 UTC",
        ),
        (
            Every("1d", offset="11h"),
            datetime(2013, 6, 5, 10, tzinfo=UTC),
            True,
            "scheduled for 2013-06-05 11:00 UTC",
        ),
        (Every("1d"), datetime(2013, 5, 1, tzinfo=UTC), True, "scheduled for 2013-06-05 00:00 UTC"),
        (Every("1d"), None, True, "scheduled for 2013-06-05 00:00 UTC"),
    ],
)
def test_every_fires_once_in_each_stretch(
    every: Every, last: datetime | None, fires: bool, reason: str
) -> None:
    found = every.check(facts(last_run=last))

    assert found.fires is fires
    assert found.reason == reason


def test_what_cannot_hold_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="1 or more"):
        NewRows(0)
    with pytest.raises(InvalidDeclaration, match="longer than nothing"):
        Every("0s")
    with pytest.raises(InvalidInput, match="not a span"):
        Age("a week")


@pytest.mark.parametrize("trigger", [NewRows(5), Age("7d"), Every("1d", offset="3h")])
def test_a_trigger_declares_itself_by_its_file_name(trigger: Any) -> None:
    assert type(trigger).__module__.endswith(f".{trigger.spec()['trigger']}")
