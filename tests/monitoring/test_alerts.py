"""Alerts: once per rule and subject, and never lost by a channel that fails."""

from __future__ import annotations

import threading

from treadle.core.clock import Clock, ManualClock
from treadle.core.errors import DeliveryFailed
from treadle.core.records import Alert
from treadle.monitoring.alerts import Alerts
from treadle.store.ledger.ledger import Ledger


class Mailbox:
    """A channel that keeps what it gets, and fails while it is told to."""

    def __init__(
        self, url: str = "", *, secret: str = "", source: str = "", clock: Clock | None = None
    ) -> None:
        self.got: list[Alert] = []
        self.is_full = False
        self.tries = 0

    def send(self, alert: Alert) -> None:
        self.tries += 1
        if self.is_full:
            raise DeliveryFailed("the mailbox is full")
        self.got.append(alert)


def said(channel: Mailbox) -> list[tuple[str, bool]]:
    return [(alert.subject, alert.resolved_at is not None) for alert in channel.got]


def test_an_alert_is_raised_and_told_once(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = Alerts(ledger=ledger, clock=clock, channel=channel)

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
    alerts = Alerts(ledger=ledger, clock=clock, channel=channel)
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
    alerts = Alerts(ledger=ledger, clock=clock, channel=channel)
    channel.is_full = True

    first = alerts.raise_("freshness", "model:a", "stale")
    alerts.raise_("freshness", "model:b", "stale")

    assert first.delivered is False
    assert [alert.delivered for alert in alerts.open()] == [False, False]
    channel.is_full = False
    assert alerts.deliver() == 2
    assert alerts.deliver() == 0
    assert said(channel) == [("model:a", False), ("model:b", False)]


def test_what_was_resolved_before_it_could_be_told_is_told_as_resolved(
    ledger: Ledger, clock: ManualClock
) -> None:
    channel = Mailbox()
    alerts = Alerts(ledger=ledger, clock=clock, channel=channel)
    channel.is_full = True
    alerts.raise_("freshness", "model:a", "stale")
    alerts.resolve("freshness", "model:a")

    channel.is_full = False
    alerts.deliver()

    assert said(channel) == [("model:a", True)]


def test_a_hanging_channel_costs_one_try_a_look(ledger: Ledger, clock: ManualClock) -> None:
    channel = Mailbox()
    alerts = Alerts(ledger=ledger, clock=clock, channel=channel)
    channel.is_full = True
    for subject in "abcd":
        alerts.raise_("freshness", subject, "stale")
    channel.tries = 0

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
    alerts = Alerts(ledger=ledger, clock=clock, channel=Mailbox())
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
