"""Triggers by outcomes, calendar, contract, drift, decay and requests; and budgets: each says yes or no, and why."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from treadle.core.drift import Drift as Drifted
from treadle.core.drift import Estimate
from treadle.core.errors import InvalidDeclaration
from treadle.loop.budgets import Budget
from treadle.loop.facts import Facts, Performed, Request, Spent
from treadle.loop.policies import Policy
from treadle.loop.triggers.contract_change import ContractChange
from treadle.loop.triggers.decay import Decay
from treadle.loop.triggers.drift import Drift
from treadle.loop.triggers.new_outcomes import NewOutcomes
from treadle.loop.triggers.new_rows import NewRows
from treadle.loop.triggers.schedule import Schedule

NOW = datetime(2013, 6, 5, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def facts(**known: Any) -> Facts:
    return Facts(**({"model": "delay", "now": NOW, "rows": 1000} | known))


def berlin(*at: int, fold: int = 0) -> datetime:
    return datetime(*at, tzinfo=BERLIN, fold=fold).astimezone(UTC)


def performed(low: float) -> Performed:
    return Performed(
        metric="log_loss",
        version=3,
        since=NOW - timedelta(days=28),
        n=2310,
        value=0.512,
        expected=0.472,
        low=low,
    )


def drifted(estimate: Estimate | None = None, *, drifting: bool = True) -> Drifted:
    return Drifted(
        model="delay", version=3, at=NOW, drifting=drifting, reason="temp moved by 0.4 sd", estimate=estimate
    )


def estimated(low: float) -> Estimate:
    return Estimate(metric="log_loss", value=0.55, low=low, high=0.6, expected=0.472)


@pytest.mark.parametrize(("came", "fires"), [(99, False), (100, True)])
def test_new_outcomes_fires_at_its_number(came: int, fires: bool) -> None:
    found = NewOutcomes(100).check(facts(new_outcomes=came, last_run=NOW))

    assert found.fires is fires
    assert found.reason == f"{came} outcomes came or were corrected since the last run, of 100 needed"


def test_a_corrected_outcome_is_something_new_to_learn_from() -> None:
    policy, seen = (
        Policy(triggers=[NewOutcomes(5)]),
        {"rows_at_last_run": 1000, "last_run": NOW, "last_attempt": NOW},
    )

    assert policy.decide(facts(new_outcomes=5, **seen)).due
    assert policy.decide(facts(**seen)).reason == "nothing new to learn from since the last run"


@pytest.mark.parametrize(
    ("cron", "now", "last", "fires"),
    [
        ("30 2 * * *", (2025, 7, 1, 2, 30), (2025, 6, 30, 2, 30), True),
        ("30 2 * * *", (2025, 7, 1, 2, 29), (2025, 6, 30, 2, 30), False),
        ("30 2 * * *", (2025, 7, 1, 12, 0), (2025, 7, 1, 2, 30), False),
        # The clocks of Berlin skip 2:30 on 2025-03-30: it is due when the gap is over, at 3:00.
        ("30 2 * * *", (2025, 3, 30, 1, 59), (2025, 3, 29, 2, 30), False),
        ("30 2 * * *", (2025, 3, 30, 3, 0), (2025, 3, 29, 2, 30), True),
        ("30 2 * * *", (2025, 3, 30, 3, 30), (2025, 3, 30, 3, 0), False),
        ("0 9 * * 1-5", (2025, 7, 5, 12, 0), (2025, 7, 4, 9, 0), False),
    ],
)
def test_a_schedule_fires_by_the_clocks_of_its_place(
    cron: str, now: tuple[int, ...], last: tuple[int, ...], fires: bool
) -> None:
    found = Schedule(cron, zone="Europe/Berlin").check(facts(now=berlin(*now), last_run=berlin(*last)))

    assert found.fires is fires


def test_a_moment_that_clocks_show_twice_is_scheduled_once() -> None:
    daily = Schedule("30 2 * * *", zone="Europe/Berlin")
    first, second = berlin(2025, 10, 26, 2, 30), berlin(2025, 10, 26, 2, 30, fold=1)
    assert second - first == timedelta(hours=1)

    assert daily.check(facts(now=first, last_run=berlin(2025, 10, 25, 2, 30))).fires
    assert not daily.check(facts(now=second, last_run=first)).fires
    assert daily.before(second + timedelta(hours=5)) == first


@pytest.mark.parametrize("year", [2024, 2025])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/40 * * * *", "15 1,2,3 * * *", "0 0 1 * *", "30 2 * * 0"])
def test_looking_back_finds_what_walking_forward_passes(cron: str, year: int) -> None:
    schedule = Schedule(cron, zone="Europe/Berlin")
    for begin in (datetime(year, 3, 28, tzinfo=UTC), datetime(year, 10, 25, tzinfo=UTC)):
        moment, end, walked = begin, begin + timedelta(days=4), []
        while moment < end:
            moment = schedule.after(moment)
            walked.append(moment)
        for before, after in itertools.pairwise(walked):
            assert schedule.before(before) == before
            assert schedule.before(after - timedelta(microseconds=1)) == before


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_r15_no_moment_is_run_twice_or_skipped_whatever_the_clock_does(zone: str) -> None:
    """A clock that is stepped by an hour to and fro round both changes of the clocks, and a run at every look that fires."""
    schedule = Schedule("30 * * * *", zone=zone)
    for begin in (
        datetime(2025, 3, 8, tzinfo=UTC),
        datetime(2025, 3, 29, tzinfo=UTC),
        datetime(2025, 10, 25, tzinfo=UTC),
    ):
        shift, last, runs = timedelta(0), begin, []
        for minute in range(0, 3 * 24 * 60, 14):
            if minute % 686 == 0:  # twice a day: ahead, right again, behind, right again
                shift = (timedelta(hours=1), timedelta(0), timedelta(hours=-1), timedelta(0))[
                    minute // 686 % 4
                ]
            now = begin + timedelta(minutes=minute) + shift
            if schedule.check(facts(now=now, last_run=last)).fires:
                runs.append(schedule.before(now))
                last = max(now, last) if now < last else now
        assert len(runs) == len(set(runs))
        expected, each = [], schedule.after(begin)
        while each <= begin + timedelta(days=2, hours=22):
            expected.append(each)
            each = schedule.after(each)
        late = {one for one in expected if one not in runs}
        # What an hour ahead has jumped over was slept through, and made up for by the run of the next moment.
        assert all(any(one < ran <= one + timedelta(hours=2) for ran in runs) for one in late)


def test_a_schedule_that_slept_says_through_how_many() -> None:
    found = Schedule("0 3 * * *").check(facts(last_run=NOW - timedelta(days=4)))

    assert found.fires
    assert found.reason == "scheduled for 2013-06-05 03:00 UTC, and 3 before it that nobody was there for"


def test_a_schedule_is_not_held_up_by_a_run_from_a_wrong_future() -> None:
    assert Schedule("0 3 * * *").check(facts(last_run=NOW + timedelta(days=300))).fires


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "* * * *"}, "five fields"),
        ({"cron": "0 0 30 2 *"}, "Bad day|never fire"),
        ({"cron": "0 0 * * *", "zone": "Europe/Atlantis"}, "no such time zone"),
        ({"cron": "0 0 * * *", "zone": "../etc/passwd"}, "no such time zone"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidDeclaration, match=said):
        Schedule(**given)


@pytest.mark.parametrize(
    ("before", "now", "fires"), [("a1", "a1", False), ("a1", "b2", True), ("", "b2", False)]
)
def test_a_changed_contract_fires_once_rows_have_landed_under_it(before: str, now: str, fires: bool) -> None:
    assert ContractChange().check(facts(contract=now, contract_at_last_run=before)).fires is fires


@pytest.mark.parametrize(("low", "fires"), [(0.012, True), (0.0, False), (-0.01, False)])
def test_measured_decay_goes_by_the_bound_and_not_by_the_value(low: float, fires: bool) -> None:
    found = Decay().check(facts(performed={"28d": performed(low)}))

    assert found.fires is fires
    assert "log_loss of version 3 is 0.512 on 2,310 answers" in found.reason


def test_decay_says_when_it_knows_too_little() -> None:
    assert Decay().check(facts()).reason == "no answer of the last 28d has a known outcome"
    assert not Decay(min_rows=5000).check(facts(performed={"28d": performed(0.1)})).fires
    assert not Decay(on="estimated").check(facts(drift=drifted())).fires
    assert Decay(on="estimated").check(facts(drift=drifted(estimated(0.48)))).fires
    assert Decay(on="either").check(facts(drift=drifted(estimated(0.48)))).fires


def test_drift_alone_tells_and_does_not_train() -> None:
    policy = Policy(triggers=[Drift()])

    said = policy.decide(facts(drift=drifted(), performed={"28d": performed(-0.001)}))

    assert not said.due
    assert said.told == (
        "Drift: temp moved by 0.4 sd; neither outcomes nor estimates say that the model is worse",
    )


@pytest.mark.parametrize(
    "support",
    [{"performed": {"28d": performed(0.01)}, "drift": drifted()}, {"drift": drifted(estimated(0.5))}],
)
def test_drift_with_a_worse_model_trains_and_says_by_what(support: dict[str, Any]) -> None:
    said = Policy(triggers=[Drift()]).decide(facts(**support))

    assert said.due
    assert said.reason.startswith("Drift: temp moved by 0.4 sd; and log_loss")
    assert said.told == ()


def test_how_drift_counts_is_declared() -> None:
    assert Drift(retrain="always").check(facts(drift=drifted())).fires
    assert not Drift(retrain="never").check(facts(drift=drifted(estimated(0.5)))).fires
    assert not Drift(retrain="always").check(facts(drift=drifted(drifting=False))).fires
    with pytest.raises(InvalidDeclaration, match="'supported', 'always' or 'never'"):
        Drift(retrain="sometimes")  # type: ignore[arg-type]


def asked() -> Request:
    return Request(id="req_1", model="delay", at=NOW, actor="ada", reason="new price list")


def test_a_request_waits_for_no_cooldown_and_for_nothing_new() -> None:
    policy = Policy(cooldown="7d")

    said = policy.decide(facts(requests=(asked(),), rows_at_last_run=1000, last_run=NOW, last_attempt=NOW))

    assert said.due
    assert said.reason == "Request: asked for by ada: new price list"


@pytest.mark.parametrize(
    ("budget", "spent", "refused"),
    [
        (Budget(runs=2, per="7d"), Spent(runs=1), ""),
        (
            Budget(runs=2, per="7d"),
            Spent(runs=2, oldest=NOW - timedelta(days=2)),
            "2 of 2 runs in 7d; the oldest of them no longer counts from 2013-06-10 12:00 UTC on",
        ),
        (
            Budget(hours=4),
            Spent(runs=3, hours=3.2, last_hours=1.1),
            "3.20 of 4 hours in 30d, and the last run took 1.10",
        ),
        (Budget(hours=4), Spent(runs=3, hours=2.0, last_hours=1.1), ""),
        (Budget(hours=4), Spent(), ""),
        (Budget(cost=10), Spent(runs=1, cost=12.0, last_cost=12.0), "12.00 of 10 cost in 30d"),
    ],
)
def test_a_spent_budget_holds_everybody_up_and_says_so(budget: Budget, spent: Spent, refused: str) -> None:
    policy = Policy(triggers=[NewRows(1)], budget=budget)

    said = policy.decide(facts(spent=spent, requests=(asked(),)))

    assert said.due is not bool(refused)
    assert refused in said.reason


def test_a_budget_that_limits_nothing_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="limits nothing"):
        Budget()
    with pytest.raises(InvalidDeclaration, match="more than 0"):
        Budget(runs=0)
    with pytest.raises(InvalidDeclaration, match="td.Budget"):
        Policy(budget=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "trigger", [NewOutcomes(5), Schedule("0 3 * * *"), Drift(), Decay(), ContractChange()]
)
def test_a_trigger_declares_itself_by_its_file_name(trigger: Any) -> None:
    assert type(trigger).__module__.endswith(f".{trigger.spec()['trigger']}")
