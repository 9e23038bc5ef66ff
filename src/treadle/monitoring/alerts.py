"""Messages to people: raised once, delivered at least once, resolved when they no longer hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select, update

from treadle.core.clock import Clock
from treadle.core.errors import DeliveryFailed
from treadle.core.ids import new_id
from treadle.core.records import Alert, from_json, to_json
from treadle.monitoring.channel import Channel
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: Resolved alerts, newest first, among which undelivered ones are looked for.
_LOOKED_BACK = 200


class Alerts:
    """Alerts of all rules. A look that finds nothing new writes nothing.

    An alert is kept before it is sent. A channel that fails loses nothing: `delivered` stays false, and the next
    look sends it again.

    >>> alerts.raise_("stale-data", "model:delay", "The newest row is 3d old.")  # doctest: +SKIP
    >>> alerts.resolve("stale-data", "model:delay")                              # doctest: +SKIP
    """

    def __init__(self, *, ledger: Ledger, clock: Clock, channel: Channel | None = None) -> None:
        self._ledger, self._clock, self._channel = ledger, clock, channel

    def raise_(self, rule: str, subject: str, text: str, *, connection: Connection | None = None) -> Alert:
        """Raise an alert, or return the one that is open for this rule and subject, as it was raised.

        Inside the caller's transaction, where one is given, it is only kept: `deliver` sends it afterwards.
        """
        if connection is not None:
            return self._insert(connection, rule, subject, text)
        found = self._find(rule, subject)
        if found is None:
            with self._ledger.write() as own:
                found = self._insert(own, rule, subject, text)
        return self._delivered(found)

    def resolve(self, rule: str, subject: str) -> Alert | None:
        """Close the open alert of a rule and subject, and tell; None: there is none."""
        found = self._find(rule, subject)
        if found is None:
            return None
        with self._ledger.write() as connection:
            still = _open_one(connection, rule, subject)
            if still is None:
                return None
            delivered = None if self._channel is None else False
            closed = msgspec.structs.replace(still, resolved_at=self._clock.now(), delivered=delivered)
            _store(connection, closed)
        return self._delivered(closed)

    def settle(self, rule: str, found: Mapping[str, str]) -> list[Alert]:
        """Make the open alerts of a rule those that hold now (subject → text), and return them.

        Raises what is new, resolves what no longer holds, and sends what could not be sent before.
        """
        self.deliver()
        for alert in self.open():
            if alert.rule == rule and alert.subject not in found:
                self.resolve(rule, alert.subject)
        return [self.raise_(rule, subject, text) for subject, text in sorted(found.items())]

    def open(self) -> Sequence[Alert]:
        """Return the alerts that hold now, newest first."""
        return self._select(t.alerts.c.open.is_(True))

    def history(
        self, *, rule: str | None = None, subject: str | None = None, limit: int = 100
    ) -> Sequence[Alert]:
        """Return open and resolved alerts, newest first."""
        chosen = [
            column == value
            for column, value in ((t.alerts.c.rule, rule), (t.alerts.c.subject, subject))
            if value is not None
        ]
        return self._select(*chosen, limit=limit)

    def deliver(self) -> int:
        """Send what the channel did not take before; return how many it took now.

        After the first failure the rest waits for the next look, so that a hanging receiver costs one time-out.
        """
        if self._channel is None:
            return 0
        closed = self._select(t.alerts.c.open.is_(False), limit=_LOOKED_BACK)
        waiting = [alert for alert in (*self.open(), *closed) if alert.delivered is False]
        taken = 0
        for alert in sorted(waiting, key=lambda each: each.id):
            if not self._delivered(alert).delivered:
                break
            taken += 1
        return taken

    def _insert(self, connection: Connection, rule: str, subject: str, text: str) -> Alert:
        there = _open_one(connection, rule, subject)
        if there is not None:
            return there
        alert = Alert(
            id=new_id("alert"),
            rule=rule,
            subject=subject,
            text=text,
            at=self._clock.now(),
            delivered=None if self._channel is None else False,
        )
        row = {"id": alert.id, "rule": rule, "subject": subject, "open": True, "body": to_json(alert)}
        connection.execute(insert(t.alerts).values(**row, at=t.micros(alert.at)))
        return alert

    def _delivered(self, alert: Alert) -> Alert:
        """Send an alert that waits, and note that it was taken; no transaction is open meanwhile."""
        if self._channel is None or alert.delivered is not False:
            return alert
        try:
            self._channel.send(alert)
        except DeliveryFailed:
            return alert
        with self._ledger.write() as connection:
            now = from_json(
                connection.execute(select(t.alerts.c.body).where(t.alerts.c.id == alert.id)).scalar_one(),
                Alert,
            )
            if now.resolved_at != alert.resolved_at:  # resolved meanwhile: that is still to be sent
                return now
            taken = msgspec.structs.replace(now, delivered=True)
            _store(connection, taken)
        return taken

    def _find(self, rule: str, subject: str) -> Alert | None:
        with self._ledger.read() as connection:
            return _open_one(connection, rule, subject)

    def _select(self, *chosen: Any, limit: int | None = None) -> Sequence[Alert]:
        wanted = select(t.alerts.c.body).where(*chosen).order_by(t.alerts.c.id.desc()).limit(limit)
        with self._ledger.read() as connection:
            return [from_json(body, Alert) for body in connection.execute(wanted).scalars()]


def _open_one(connection: Connection, rule: str, subject: str) -> Alert | None:
    chosen = (t.alerts.c.rule == rule) & (t.alerts.c.subject == subject) & t.alerts.c.open.is_(True)
    body = connection.execute(select(t.alerts.c.body).where(chosen)).scalar()
    return from_json(body, Alert) if body else None


def _store(connection: Connection, alert: Alert) -> None:
    values = {"open": alert.resolved_at is None, "body": to_json(alert)}
    connection.execute(update(t.alerts).where(t.alerts.c.id == alert.id).values(**values))
