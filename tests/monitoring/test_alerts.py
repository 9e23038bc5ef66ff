"""Alerts: once per rule and subject, and never lost by a channel that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from treadle.core.alert import Concern
from treadle.core.clock import ManualClock
from treadle.core.errors import Conflict, DeliveryFailed, InvalidInput, NotFound
from treadle.core.telling import RouteSettings, RuleSettings
from treadle.monitoring.alerts import Alerts
from treadle.monitoring.channel import Message
from treadle.monitoring.routes import Routes
from treadle.monitoring.rules import Rules
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger


class Mailbox:
    """A channel that keeps what it gets, and fails while it is told to."""

    shown = "a mailbox"

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.is_full = False
        self.tries = 0
        self.held: threading.Event | None = None

    def send(self, message: Message) -> None:
        self.tries += 1
        if self.held is not None:
            self.held.wait(60)
        if self.is_full:
            raise DeliveryFailed("the mailbox is full")
        self.got.append(message)


def alerting(ledger: Ledger, clock: ManualClock, *channels: Mailbox, **rules: RuleSettings) -> Alerts:
    """Return alerts that go to some channels, named a, b, …; `_` in a rule's name stands for `-`."""
    there: dict[str, Any] = {name: (lambda one=one: one) for name, one in zip("abc", channels, strict=False)}
    given = {name.replace("_", "-"): rule for name, rule in rules.items()}
    return Alerts(ledger=ledger, clock=clock, routes=Routes(channels=there), rules=Rules(given))


def said(channel: Mailbox) -> list[tuple[str, bool]]:
    return [(alert.subject, one.state == "resolved") for one in channel.got for alert in one.alerts]


def test_an_alert_is_raised_and_told_once(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)

    first = alerts.raise_("freshness", "model:delay", "The newest row is 3d old.")
    clock.advance("1h")
    again = alerts.raise_("freshness", "model:delay", "The newest row is 3d1h old.")

    assert again == first
    assert first.delivered is True
    assert list(alerts.open()) == [first]
    assert said(channel) == [("model:delay", False)]


def test_rules_and_subjects_are_apart(ledger: Ledger, clock: ManualClock) -> None:
    alerts = Alerts(ledger=ledger, clock=clock)

    alerts.raise_("freshness", "model:a", "")
    alerts.raise_("freshness", "model:b", "")
    alerts.raise_("failed-run", "model:a", "")

    assert len(alerts.open()) == 3
    assert [alert.rule for alert in alerts.history(subject="model:a")] == ["failed-run", "freshness"]
    assert [alert.subject for alert in alerts.history(rule="freshness", limit=1)] == ["model:b"]


def test_what_no_longer_holds_is_resolved_and_told(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    raised = alerts.raise_("freshness", "model:delay", "stale")
    clock.advance("1h")

    resolved = alerts.resolve("freshness", "model:delay")

    assert resolved is not None
    assert (resolved.id, resolved.resolved_at, resolved.delivered) == (raised.id, clock.now(), True)
    assert list(alerts.open()) == []
    assert list(alerts.history()) == [resolved]
    assert said(channel) == [("model:delay", False), ("model:delay", True)]


def test_resolving_nothing_does_nothing(ledger: Ledger, clock: ManualClock) -> None:
    assert Alerts(ledger=ledger, clock=clock).resolve("freshness", "model:delay") is None


def test_after_a_resolution_it_may_be_raised_again(ledger: Ledger, clock: ManualClock) -> None:
    alerts = Alerts(ledger=ledger, clock=clock)
    first = alerts.raise_("freshness", "model:delay", "stale")
    alerts.resolve("freshness", "model:delay")

    assert alerts.raise_("freshness", "model:delay", "stale").id != first.id
    assert len(alerts.history()) == 2


def test_without_a_channel_delivery_is_no_question(ledger: Ledger, clock: ManualClock) -> None:
    alerts = Alerts(ledger=ledger, clock=clock)

    assert alerts.raise_("freshness", "model:delay", "stale").delivered is None
    assert alerts.deliver() == 0


def test_a_channel_that_fails_loses_nothing(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    channel.is_full = True

    first = alerts.raise_("freshness", "model:a", "stale")
    alerts.raise_("freshness", "model:b", "stale")

    assert first.delivered is False
    assert [alert.delivered for alert in alerts.open()] == [False, False]
    channel.is_full = False
    assert alerts.deliver() == 0, "it was tried a moment ago"
    clock.advance("5s")
    assert alerts.deliver() == 2
    assert alerts.deliver() == 0
    assert said(channel) == [("model:a", False), ("model:b", False)]
    assert alerts.waiting() == []


def test_what_was_resolved_before_it_could_be_told_is_told_as_resolved(
    ledger: Ledger, clock: ManualClock
) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    channel.is_full = True
    alerts.raise_("freshness", "model:a", "stale")
    alerts.resolve("freshness", "model:a")

    channel.is_full = False
    clock.advance("5s")
    alerts.deliver()

    assert said(channel) == [("model:a", True)]


def test_a_hanging_channel_costs_one_try_a_look(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    channel.is_full = True
    for subject in "abcd":
        alerts.raise_("freshness", subject, "stale")
    channel.tries = 0
    clock.advance("1h")

    alerts.deliver()

    assert channel.tries == 1


def test_settling_makes_the_open_alerts_what_holds(ledger: Ledger, clock: ManualClock) -> None:
    alerts = Alerts(ledger=ledger, clock=clock)
    alerts.settle("freshness", {"model:a": "stale", "model:b": "stale"})
    alerts.raise_("failed-run", "model:a", "broke")

    left = alerts.settle("freshness", {"model:b": "stale", "model:c": "stale"})

    assert [alert.subject for alert in left] == ["model:b", "model:c"]
    found = {(alert.rule, alert.subject) for alert in alerts.open()}
    assert found == {("freshness", "model:b"), ("freshness", "model:c"), ("failed-run", "model:a")}


def test_a_look_that_finds_nothing_new_writes_nothing(ledger: Ledger, clock: ManualClock) -> None:
    alerts = alerting(ledger, clock, Mailbox())
    alerts.settle("freshness", {"model:a": "stale"})
    with ledger.write() as connection:
        # While this transaction is open nobody else can write; the look needs no more than to read.
        look = threading.Thread(target=alerts.settle, args=("freshness", {"model:a": "stale for longer"}))
        look.start()
        look.join(8)
        is_done = not look.is_alive()
        connection.rollback()

    look.join()
    assert is_done


def test_two_who_raise_the_same_raise_one(ledger: Ledger, clock: ManualClock) -> None:
    alerts = Alerts(ledger=ledger, clock=clock)
    ready = threading.Barrier(4)

    def raise_it() -> None:
        ready.wait()
        alerts.raise_("freshness", "model:a", "stale")

    threads = [threading.Thread(target=raise_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(alerts.history()) == 1


def test_subjects_of_one_look_are_told_together(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)

    alerts.settle("freshness", {f"model:m{number:03}": "stale" for number in range(200)})
    alerts.settle("freshness", {})

    assert [(one.state, len(one.alerts)) for one in channel.got] == [("raised", 200), ("resolved", 200)]
    assert channel.got[0].title == "[ticket] freshness: 200 subjects"
    assert channel.got[0].lines[-1] == "… and 180 more: treadle alerts"


def test_a_message_waits_for_more_subjects_where_the_rule_says_so(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel, freshness=RuleSettings(group="1m"))
    for subject in "abc":
        alerts.raise_("freshness", subject, "stale")
        clock.advance("20s")
    before = list(channel.got)

    alerts.deliver()

    assert before == []
    assert [len(one.alerts) for one in channel.got] == [3]


def test_what_was_tried_together_is_sent_again_as_the_same_message(
    ledger: Ledger, clock: ManualClock
) -> None:
    channel, sent = Mailbox(), []
    alerts = alerting(ledger, clock, channel)
    channel.send = lambda message: sent.append(message) or _fail()  # type: ignore[func-returns-value, method-assign]
    alerts.settle("freshness", {"a": "stale", "b": "stale"})
    alerts.settle("freshness", {"a": "stale", "b": "stale", "c": "stale"})
    clock.advance("1h")

    alerts.deliver()

    assert [[alert.subject for alert in one.alerts] for one in sent] == [["a", "b"], ["c"], ["a", "b"]]
    assert sent[0].id == sent[2].id


def _fail() -> None:
    raise DeliveryFailed("not now")


def test_a_rule_may_ask_for_several_occurrences(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel, failed_run=RuleSettings(count=3, period="1h"))

    def fail(run: str) -> None:
        alerts.see([Concern("failed-run", "model:a", run, event=run)], looked={("failed-run", "model:a")})

    for run in ("run_1", "run_1", "run_1", "run_2"):
        fail(run)
        clock.advance("1m")
    before = list(alerts.open())
    fail("run_3")

    assert before == []
    assert [alert.text for alert in alerts.open()] == ["run_3"]
    assert said(channel) == [("model:a", False)]


def test_occurrences_before_the_period_do_not_count(ledger: Ledger, clock: ManualClock) -> None:
    alerts = alerting(ledger, clock, freshness=RuleSettings(count=2, period="1h"))

    for _ in range(3):
        alerts.raise_("freshness", "a", "stale")
        alerts.resolve("freshness", "a")
        clock.advance("1h")

    assert alerts.history() == []
    with ledger.read() as connection:
        assert len(connection.execute(select(t.sightings)).all()) == 1


def test_a_rule_may_ask_that_it_lasts(ledger: Ledger, clock: ManualClock) -> None:
    alerts = alerting(ledger, clock, freshness=RuleSettings(lasting="10m"))

    first = alerts.raise_("freshness", "a", "stale")
    clock.advance("9m")
    alerts.settle("freshness", {})
    second = alerts.raise_("freshness", "a", "stale")
    clock.advance("9m")
    third = alerts.raise_("freshness", "a", "stale")
    clock.advance("1m")
    fourth = alerts.raise_("freshness", "a", "stale")

    assert (first, second, third) == (None, None, None)
    assert fourth is not None


def test_within_the_cool_down_a_subject_is_not_told_again(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel, freshness=RuleSettings(cooldown="6h"))
    for _ in range(3):  # it flaps
        alerts.raise_("freshness", "a", "stale")
        alerts.resolve("freshness", "a")
        clock.advance("1h")
    alerts.raise_("freshness", "b", "stale")
    alerts.raise_("freshness", "a", "stale")
    quiet = said(channel)

    clock.advance("3h")
    alerts.deliver()

    assert quiet == [("a", False), ("a", True), ("b", False)]
    assert said(channel)[3:] == [("a", False)]


def test_what_nobody_was_told_of_ends_without_a_word(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel, freshness=RuleSettings(group="1m"))

    alerts.raise_("freshness", "a", "stale")
    closed = alerts.resolve("freshness", "a")
    clock.advance("1h")
    alerts.deliver()

    assert closed is not None
    assert (channel.got, alerts.waiting(), closed.delivered) == ([], [], None)


def test_it_is_told_again_until_somebody_takes_it_on(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel, freshness=RuleSettings(repeat="1d"))
    alert = alerts.raise_("freshness", "a", "stale")
    assert alert is not None
    for _ in range(2):
        clock.advance("1d")
        alerts.deliver()
        alerts.deliver()

    taken = alerts.acknowledge(alert.id, actor="ada", reason="I look at it")
    clock.advance("3d")
    alerts.deliver()
    alerts.resolve("freshness", "a")

    assert [one.state for one in channel.got] == ["raised", "repeated", "repeated", "resolved"]
    assert len({one.id for one in channel.got}) == 4
    assert taken.acknowledged is not None
    assert (taken.acknowledged.actor, taken.acknowledged.reason) == ("ada", "I look at it")
    assert alerts.get(alert.id).acknowledged == taken.acknowledged


def test_what_cannot_be_taken_on(ledger: Ledger, clock: ManualClock) -> None:
    alerts = alerting(ledger, clock)
    alert = alerts.raise_("freshness", "a", "stale")
    assert alert is not None
    with pytest.raises(NotFound, match="No alert named 'alert_0'"):
        alerts.acknowledge("alert_0", actor="ada", reason="mine")
    with pytest.raises(InvalidInput, match="needs a reason"):
        alerts.acknowledge(alert.id, actor="ada", reason=" ")
    alerts.acknowledge(alert.id, actor="ada", reason="mine")
    with pytest.raises(Conflict, match="taken on by ada"):
        alerts.acknowledge(alert.id, actor="bob", reason="mine")
    alerts.resolve("freshness", "a")

    with pytest.raises(Conflict, match="was resolved meanwhile"):
        alerts.acknowledge(alert.id, actor="ada", reason="again")


def test_a_silence_holds_back_what_it_is_about(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    held = alerts.silence(
        rule="fresh*", subject="model:a", until=timedelta(hours=2), actor="ada", reason="we move"
    )
    alerts.settle("freshness", {"model:a": "stale", "model:b": "stale"})
    alerts.raise_("failed-run", "model:a", "broke")
    before = said(channel)
    clock.advance("2h")

    alerts.deliver()

    assert held.until == clock.now()
    assert sorted(before) == [("model:a", False), ("model:b", False)]
    assert said(channel)[2:] == [("model:a", False)]
    assert alerts.silences() == []


def test_a_silence_can_be_ended(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    held = alerts.silence(until=timedelta(hours=2), actor="ada", reason="we move")
    alerts.raise_("freshness", "model:a", "stale")

    alerts.unsilence(held.id)

    assert said(channel) == [("model:a", False)]
    with pytest.raises(NotFound, match="No silence named"):
        alerts.unsilence(held.id)


@pytest.mark.parametrize(("until", "reason"), [(timedelta(0), "why"), (timedelta(hours=1), "")])
def test_a_silence_that_makes_no_sense(
    ledger: Ledger, clock: ManualClock, until: timedelta, reason: str
) -> None:
    with pytest.raises(InvalidInput):
        alerting(ledger, clock).silence(until=until, actor="ada", reason=reason)


def test_a_broken_channel_holds_up_no_other(ledger: Ledger, clock: ManualClock) -> None:
    broken, good, odd = Mailbox(), Mailbox(), Mailbox()
    broken.is_full = True
    odd.send = lambda message: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    alerts = alerting(ledger, clock, broken, good, odd)

    alert = alerts.raise_("freshness", "model:a", "stale")
    told = said(good)
    broken.is_full = False
    clock.advance("5s")
    alerts.deliver()

    assert alert is not None
    assert (alert.delivered, told) == (False, [("model:a", False)])
    assert said(broken) == [("model:a", False)]
    assert [(row.channel, row.tries, row.problem) for row in alerts.waiting()] == [
        ("c", 2, "the channel raised ZeroDivisionError")
    ]


def test_beside_a_channel_that_hangs_nobody_waits(ledger: Ledger, clock: ManualClock) -> None:
    hanging, good = Mailbox(), Mailbox()
    hanging.held = threading.Event()
    alerts = alerting(ledger, clock, hanging, good)

    with alerts.beside():
        alerts.raise_("freshness", "model:a", "stale")
        assert alerts.open(), "the look went on"
        _eventually(lambda: said(good) == [("model:a", False)])
        assert said(hanging) == []
        hanging.held.set()
        _eventually(lambda: said(hanging) == [("model:a", False)])

    assert alerts.waiting() == []


@contextmanager
def watching(ledger: Ledger, written: list[str]) -> Iterator[None]:
    """Note what is written into the ledger."""

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.split(maxsplit=1)[0].upper() in {"INSERT", "UPDATE", "DELETE"}:
            written.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _eventually(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_several_processes_tell_it_once(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    channel.held = threading.Event()
    first, second = alerting(ledger, clock, channel), alerting(ledger, clock, channel)
    thread = threading.Thread(target=first.raise_, args=("freshness", "model:a", "stale"))
    thread.start()
    _eventually(lambda: channel.tries == 1)
    clock.advance("1h")

    taken = second.deliver()
    channel.held.set()
    thread.join()

    assert taken == 0
    assert said(channel) == [("model:a", False)]


def test_routes_lead_by_rule_subject_and_severity(ledger: Ledger, clock: ManualClock) -> None:
    people, night = Mailbox(), Mailbox()
    routes = Routes(
        channels={"people": lambda: people, "night": lambda: night},
        routes=[
            RouteSettings(channels=("people",), rules=("stale-*",), subjects=("model:*",)),
            RouteSettings(channels=("night",), severities=("page",)),
        ],
    )
    rules = Rules({"stale-data": RuleSettings(severity="page")})
    alerts = Alerts(ledger=ledger, clock=clock, routes=routes, rules=rules)

    alerts.raise_("stale-data", "model:a", "")
    alerts.raise_("stale-model", "model:a", "")
    alerts.raise_("stale-model", "view:a", "")
    alerts.raise_("rollout", "endpoint:a", "")

    assert [(one.rule, one.alerts[0].subject) for one in people.got] == [
        ("stale-data", "model:a"),
        ("stale-model", "model:a"),
    ]
    assert [one.rule for one in night.got] == ["stale-data", "rollout"]
    assert [alert.delivered for alert in alerts.history(subject="view:a")] == [None]


def test_a_channel_that_is_no_longer_there_leaves_nothing_waiting(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    channel.is_full = True
    alerting(ledger, clock, channel).raise_("freshness", "a", "stale")
    clock.advance("1h")
    alerts = alerting(ledger, clock)

    alerts.deliver()

    assert alerts.waiting() == []


def test_a_message_is_given_up_after_a_week(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    channel.is_full = True
    alerts = alerting(ledger, clock, channel)
    alerts.raise_("freshness", "a", "stale")
    for _ in range(8):
        clock.advance("1d")
        alerts.deliver()

    assert alerts.waiting() == []
    assert channel.tries == 9
    assert [alert.delivered for alert in alerts.open()] == [False]


def test_resolved_alerts_are_kept_for_a_time(ledger: Ledger, clock: ManualClock) -> None:
    alerts = Alerts(ledger=ledger, clock=clock, keep=timedelta(days=30))
    for day in range(100):
        alerts.raise_("freshness", f"model:{day}", "stale")
        alerts.resolve("freshness", f"model:{day}")
        clock.advance("1d")
    alerts.raise_("freshness", "model:old", "stale")

    assert len(alerts.history(limit=1000)) == 32


def test_a_test_is_sent_at_once_and_kept_nowhere(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)

    alerts.test("a")

    assert [(one.rule, one.severity) for one in channel.got] == [("test", "info")]
    assert alerts.history() == []
    channel.is_full = True
    with pytest.raises(DeliveryFailed, match="the mailbox is full"):
        alerts.test("a")
    with pytest.raises(NotFound, match="No channel named 'd'"):
        alerts.test("d")


def test_what_a_killed_process_was_sending_is_sent_again_at_once(ledger: Ledger, clock: ManualClock) -> None:
    class Killed(BaseException):
        pass

    def die(message: Message) -> None:
        raise Killed

    dying, channel = Mailbox(), Mailbox()
    dying.send = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        alerting(ledger, clock, dying).raise_("freshness", "model:a", "stale")

    alerting(ledger, clock, channel).deliver()

    assert said(channel) == [("model:a", False)]


def test_beside_a_channel_that_hangs_others_are_told_of_what_comes_later(
    ledger: Ledger, clock: ManualClock
) -> None:
    hanging, good = Mailbox(), Mailbox()
    hanging.held = threading.Event()
    alerts = alerting(ledger, clock, hanging, good)

    with alerts.beside():
        alerts.raise_("freshness", "model:a", "stale")
        _eventually(lambda: hanging.tries == 1 and len(good.got) == 1)
        alerts.raise_("failed-run", "model:b", "broke")
        try:
            _eventually(lambda: len(good.got) == 2, seconds=12)
            before = hanging.tries
        finally:
            hanging.held.set()
        _eventually(lambda: len(hanging.got) == 2)

    assert before == 1
    assert said(good) == [("model:a", False), ("model:b", False)]


def test_a_broken_channel_does_not_keep_others_from_being_told_again(
    ledger: Ledger, clock: ManualClock
) -> None:
    broken, good = Mailbox(), Mailbox()
    broken.is_full = True
    alerts = alerting(ledger, clock, broken, good, freshness=RuleSettings(repeat="1d"))
    alerts.raise_("freshness", "a", "stale")
    for _ in range(9):
        clock.advance("1d")
        alerts.deliver()
        alerts.deliver()

    assert [one.state for one in good.got] == ["raised", *["repeated"] * 9]


def test_what_is_silenced_is_looked_at_without_writing(ledger: Ledger, clock: ManualClock) -> None:
    alerts = alerting(ledger, clock, Mailbox())
    alerts.silence(until=timedelta(hours=2), actor="ada", reason="we move")
    alerts.raise_("freshness", "model:a", "stale")
    written: list[str] = []

    with watching(ledger, written):
        for _ in range(3):
            alerts.deliver()

    assert written == []
    assert len(alerts.waiting()) == 1


def test_very_many_that_are_silenced_hold_up_no_other(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    alerts.silence(rule="stale-*", until=timedelta(hours=2), actor="ada", reason="we move")
    alerts.settle("stale-data", {f"model:{number}": "stale" for number in range(1100)})

    alerts.raise_("failed-run", "model:a", "broke")

    assert said(channel) == [("model:a", False)]


def test_what_a_silence_held_back_for_long_is_not_given_up_at_its_first_try(
    ledger: Ledger, clock: ManualClock
) -> None:
    channel = Mailbox()
    alerts = alerting(ledger, clock, channel)
    alerts.silence(until=timedelta(days=10), actor="ada", reason="we move")
    alerts.raise_("freshness", "model:a", "stale")
    clock.advance("10d")
    channel.is_full = True
    alerts.deliver()
    channel.is_full = False
    clock.advance("1h")

    alerts.deliver()

    assert said(channel) == [("model:a", False)]
