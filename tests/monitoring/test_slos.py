"""Promises: what can be declared, how budgets burn, and when somebody is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import treadle as td
from treadle.core.clock import ManualClock
from treadle.core.counts import BOUNDS, Counts, total
from treadle.core.errors import InvalidDeclaration
from treadle.core.records import to_json
from treadle.monitoring.burning import PAIRS, Measured, burning
from treadle.monitoring.courses import Course
from treadle.monitoring.served import HOUR, Served
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

NOW = datetime(2020, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def counts(answered: int, failed: int = 0, *, seconds: float = 0.01) -> Counts:
    places = [0.0] * (len(BOUNDS) + 1)
    places[BOUNDS.index(seconds)] = answered
    return Counts(answered, failed, tuple(places))


def land(ledger: Ledger, at: datetime, one: Counts, *, server: str = "a", span: int = 60) -> None:
    with ledger.write() as connection:
        values = {"endpoint": "delay", "at": t.micros(at), "span": span, "server": server}
        t.put(connection, t.served_counts, **values, written=t.micros(at), body=to_json(one))


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("Availability", {"endpoint": "a", "objective": 1.0}, "broken for ever by one error"),
        ("Availability", {"endpoint": "a", "objective": 99.9}, "expected a share between 0 and 1"),
        ("Availability", {"endpoint": "a", "objective": True}, "expected a share"),
        ("Availability", {"endpoint": "a", "objective": 0.9, "period": "month"}, "not a span of time"),
        ("Availability", {"endpoint": "a", "objective": 0.9, "period": "1h"}, "expected from 1d to 90d"),
        ("Availability", {"endpoint": 5, "objective": 0.9}, "endpoint is 5; expected a name"),
        ("Availability", {"endpoint": "a", "objective": 0.9, "name": "a b"}, "a name holds letters"),
        ("Availability", {"endpoint": "a", "objective": 0.9, "least": -1}, "expected a number of requests"),
        ("Latency", {"endpoint": "a", "objective": 0.9, "within": 0.03}, "servers count at these seconds"),
        ("Freshness", {"objective": 0.9, "within": "1h"}, "about is nothing; expected one of"),
        ("Freshness", {"objective": 0.9, "within": "1h", "data": "a", "model": "b"}, "data and model"),
        ("Freshness", {"objective": 0.9, "within": "0s", "data": "a"}, "expected an age"),
        ("Quality", {"endpoint": "a", "objective": 0.9, "metric": "log_los", "at_most": 1}, "Did you mean 'log_loss'"),
        ("Quality", {"endpoint": "a", "objective": 0.9, "metric": "log_loss"}, "neither at_most nor at_least"),
        ("Quality", {"endpoint": "a", "objective": 0.9, "metric": "mae", "at_most": 1, "at_least": 0}, "both"),
        ("Quality", {"endpoint": "a", "objective": 0.9, "metric": "mae", "at_most": float("nan")}, "a number"),
        ("Quality", {"endpoint": "a", "objective": 0.9, "metric": "mae", "at_most": 1, "rows": 1}, "2 or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_promised_is_refused(kind: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDeclaration, match=said):
        getattr(td.slos, kind)(**given)


def test_the_rates_are_those_of_the_workbook() -> None:
    assert [round(pair.rate(timedelta(days=30)), 9) for pair in PAIRS] == [14.4, 6.0, 3.0, 1.0]
    assert [pair.long / pair.short for pair in PAIRS] == [12, 12, 12, 12]


@pytest.mark.parametrize(
    ("share", "severities"),
    [(0.0009, []), (0.0011, ["ticket"]), (0.0031, ["ticket"] * 2), (0.0061, ["page", "ticket", "ticket"]), (0.0145, ["page", "page", "ticket", "ticket"])],
)  # fmt: skip
def test_somebody_is_told_from_each_rate(share: float, severities: list[str]) -> None:
    slo = td.slos.Availability(endpoint="delay", objective=0.999)

    found = burning(slo, lambda window: Measured(1e6 * (1 - share), 1e6))

    assert [one.pair.severity for one in found] == severities


def test_a_burst_that_is_over_is_not_told() -> None:
    slo = td.slos.Availability(endpoint="delay", objective=0.999)

    found = burning(
        slo, lambda window: Measured(100, 100) if window <= timedelta(hours=2) else Measured(0, 100)
    )

    assert found == [one for one in found if one.pair.short > timedelta(hours=2)]
    assert all(one.pair.severity == "ticket" for one in found)


def test_few_requests_tell_nothing() -> None:
    slo = td.slos.Availability(endpoint="delay", objective=0.999)

    assert burning(slo, lambda window: Measured(1, 3)) == []
    assert burning(slo, lambda window: Measured(0, 0)) == []


def test_latency_counts_answers_within_a_bound() -> None:
    slo = td.slos.Latency(endpoint="delay", within=0.05, objective=0.9)

    together = total([counts(90, 7, seconds=0.05), counts(10, seconds=0.1)])

    assert slo.good(together) == (90, 100)
    assert td.slos.Availability(endpoint="delay", objective=0.9).good(together) == (100, 107)


def test_windows_are_summed_over_servers_and_cut_at_their_edge(ledger: Ledger) -> None:
    clock = ManualClock(NOW)
    land(ledger, NOW - 2 * MINUTE, counts(10), server="a")
    land(ledger, NOW - 2 * MINUTE, counts(10, 2), server="b")
    land(ledger, NOW - timedelta(hours=2), counts(60), server="", span=HOUR)
    served = Served(ledger, clock)
    served.refresh()

    assert (served.counted("delay", 5 * MINUTE).answered, served.counted("delay", 5 * MINUTE).failed) == (
        20,
        2,
    )
    assert served.counted("delay", timedelta(minutes=90)).answered == 20 + 30
    assert served.counted("delay", MINUTE) == Counts()
    assert served.counted("other", timedelta(days=1)) == Counts()


def test_old_minutes_become_hours_and_nothing_is_counted_twice(ledger: Ledger) -> None:
    clock = ManualClock(NOW)
    for minute in range(0, 600, 7):
        for server in ("a", "b"):
            land(ledger, NOW - minute * MINUTE, counts(minute, 1), server=server)
    served, fresh = Served(ledger, clock), Served(ledger, clock)
    served.refresh()
    before = served.counted("delay", timedelta(days=1))

    went = [served.compact(), served.compact()]
    served.refresh()
    fresh.refresh()

    assert went[0] > 0
    assert went[1] == 0
    assert served.counted("delay", timedelta(days=1)) == fresh.counted("delay", timedelta(days=1)) == before
    with ledger.read() as connection:
        spans = [row.span for row in connection.execute(t.served_counts.select())]
    assert spans.count(HOUR) == 7
    land(ledger, NOW - 400 * MINUTE, counts(5), server="late")
    served.compact()
    fresh = Served(ledger, clock)
    fresh.refresh()
    assert fresh.counted("delay", timedelta(days=1)).answered == before.answered + 5


def test_counts_of_long_ago_are_forgotten(ledger: Ledger) -> None:
    clock = ManualClock(NOW)
    land(ledger, NOW - timedelta(days=101), counts(1), server="", span=HOUR)
    land(ledger, NOW - timedelta(hours=9), counts(1))

    Served(ledger, clock).compact()

    with ledger.read() as connection:
        assert len(connection.execute(t.served_counts.select()).all()) == 1


def test_a_course_measures_the_time_between_changes() -> None:
    month = timedelta(days=30)
    course = Course().turned(kept=True, since=NOW, now=NOW, period=month)
    later = NOW + timedelta(hours=10)
    broken = course.turned(kept=False, since=NOW + timedelta(hours=8), now=later, period=month)

    assert broken.turned(kept=False, since=NOW, now=later, period=month) is broken
    assert broken.measured(timedelta(hours=4), later) == Measured(2 * 3600, 4 * 3600)
    assert broken.measured(month, later) == Measured(8 * 3600, 10 * 3600)
    mended = broken.turned(kept=True, since=NOW, now=later, period=month)
    assert mended.changes[-1].at == NOW + timedelta(hours=8), "never before the change before it"


def test_a_course_that_flaps_stays_small() -> None:
    month, course = timedelta(days=30), Course()
    for minute in range(5000):
        now = NOW + minute * MINUTE
        course = course.turned(kept=bool(minute % 2), since=now, now=now, period=month)

    assert len(course.changes) == 2000
    later = NOW + 5000 * MINUTE + month
    assert len(course.turned(kept=False, since=later, now=later, period=month).changes) == 2


@pytest.mark.parametrize("period", ["1d", "7d", "14d", "30d", "90d"])
def test_nobody_is_told_of_a_budget_that_lasts(period: str) -> None:
    slo = td.slos.Availability(endpoint="delay", objective=0.999, period=period)

    found = burning(slo, lambda window: Measured(1e6 * (1 - 0.0009), 1e6))

    assert found == []


def test_a_short_period_still_tells_of_a_budget_that_does_not_last() -> None:
    slo = td.slos.Availability(endpoint="delay", objective=0.999, period="7d")

    found = burning(slo, lambda window: Measured(1e6 * (1 - 0.0011), 1e6))

    assert [one.pair.severity for one in found] == ["ticket", "ticket"]
