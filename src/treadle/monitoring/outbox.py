"""Messages on their way to people: kept with the change that they tell of, sent until each channel has taken them.

A row waits for each channel that an alert goes to. It is written in the transaction that changes the alert, and removed when the
channel has taken the message; between the two a killed process loses nothing, and at worst tells something twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Thread
from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, func, select

from treadle.core.alert import Alert
from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy, DeliveryFailed, LeaseLost, StoreUnavailable, TreadleError
from treadle.core.records import Record, from_json, to_json
from treadle.core.telling import Severity
from treadle.monitoring.channel import Message
from treadle.monitoring.routes import Routes
from treadle.monitoring.silences import Silences, fits
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

State = Literal["raised", "repeated", "resolved"]

#: Rows that become messages in one go, and how long a message is tried before it is given up.
_AT_ONCE, _PATIENCE = 1000, timedelta(days=7)
_LOOKED_BACK = 20
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
#: Seconds after which a process that delivers and is silent is taken for dead.
_TTL = 60.0
_log = logging.getLogger("treadle.monitoring")


class Waiting(Record, frozen=True, kw_only=True):
    """What a channel has not taken yet."""

    channel: str
    #: Id of the alert.
    alert: str
    rule: str
    subject: str
    severity: Severity
    state: State
    #: Since when it waits, and when it is tried next.
    at: datetime
    due: datetime
    #: How often it was tried, and what the last try came to.
    tries: int = 0
    problem: str = ""
    #: When it was first tried; None: it was not. What a silence or a cool-down holds back is not tried meanwhile.
    begun: datetime | None = None
    #: Id of the message that it is a part of; empty: it was not tried yet.
    message: str = ""


class Outbox:
    """What waits to be sent, by channel."""

    def __init__(self, ledger: Ledger, routes: Routes, clock: Clock) -> None:
        """Take the clock of the world in which people are told: it may be another one than the project's."""
        self._ledger, self._routes, self._clock = ledger, routes, clock
        self._silences = Silences(ledger)
        #: By channel: who speaks to it now, or did last.
        self._speakers: dict[str, Thread] = {}

    def has_channels(self, alert: Alert) -> bool:
        """Return whether an alert goes to anybody."""
        return bool(self._routes.of(alert))

    def put(
        self,
        alert: Alert,
        *,
        state: State,
        connection: Connection,
        earliest: datetime | None = None,
        group: timedelta = timedelta(0),
    ) -> bool:
        """Let an alert wait for each of its channels; return whether it has any.

        It is not sent before `earliest`; else it waits up to `group` for others of its rule, or goes with those that wait already.
        """
        now = self._clock.now()
        names = self._routes.of(alert)
        for name in names:
            due = now + group if earliest is None or earliest <= now else earliest
            if group and due == now + group:
                row = _row(alert, name, state, at=now, due=due)
                chosen = (t.deliveries.c.channel == name) & (t.deliveries.c.due > t.micros(now))
                due = min(
                    [due, *(o.due for o in _rows(connection, chosen) if _belongs(o, row) and not o.tries)]
                )
            _write(connection, _row(alert, name, state, at=now, due=due))
        return bool(names)

    def may_repeat(self, alert: Alert, waiting: Collection[tuple[str, str]]) -> bool:
        """Return whether some channel has taken all of an alert; `waiting` are channels and alerts that wait."""
        return any((name, alert.id) not in waiting for name in self._routes.of(alert))

    def repeat(self, alert: Alert, connection: Connection) -> bool:
        """Tell an alert again to the channels that have taken all of it; return whether there are any."""
        now = self._clock.now()
        there = {row.channel for row in _rows(connection, t.deliveries.c.alert == alert.id)}
        free = [name for name in self._routes.of(alert) if name not in there]
        for name in free:
            _write(connection, _row(alert, name, "repeated", at=now, due=now))
        return bool(free)

    def last_told(self, rule: str, subject: str, connection: Connection) -> datetime | None:
        """Return when somebody was last told that a rule holds for a subject; None: never, as far as is kept."""
        about = (t.alerts.c.rule == rule) & (t.alerts.c.subject == subject)
        wanted = select(t.alerts.c.body).where(about).order_by(t.alerts.c.at.desc()).limit(_LOOKED_BACK)
        found = [from_json(body, Alert).told_at for body in connection.execute(wanted).scalars()]
        return max((at for at in found if at is not None), default=None)

    def resolve(self, alert: Alert, connection: Connection) -> bool:
        """Tell the end of an alert to the channels that may know of it; return whether there are any."""
        there = _rows(connection, t.deliveries.c.alert == alert.id)
        for row in there:
            if row.tries == 0 and row.state == "raised":  # nobody has heard of it
                _remove(connection, [row])
        unaware = {row.channel for row in there if row.tries == 0 and row.state == "raised"}
        told = [name for name in self._routes.of(alert) if name not in unaware]
        now = self._clock.now()
        for name in told:
            _write(connection, _row(alert, name, "resolved", at=now, due=now))
        return bool(told)

    def waiting(self) -> list[Waiting]:
        """Return what waits, the oldest first."""
        with self._ledger.read() as connection:
            return sorted(_rows(connection), key=lambda row: row.at)

    def is_due(self) -> bool:
        """Return whether anything could be sent now; nothing is written."""
        return bool(self._due())

    def send(self, *, patience: float | None = None) -> int:
        """Send what is due, each channel beside the others; return how many messages were taken.

        Channels are waited for at most `patience` seconds; None: as long as they take. One that takes longer goes on beside, and is
        spoken to again when it has ended.
        """
        names = [name for name in self._due() if not self._is_busy(name)]
        if names:
            self._forget_others()
        taken = {name: 0 for name in names if name in self._routes.channels}

        def speak(name: str) -> None:
            taken[name] = self._speak(name)

        if len(taken) == 1 and patience is None:
            speak(next(iter(taken)))
        else:
            for name in taken:
                self._speakers[name] = Thread(target=speak, args=(name,), daemon=True)
                self._speakers[name].start()
            self.rest(patience)
        return sum(taken.values())

    def rest(self, patience: float | None) -> None:
        """Wait for what is being sent, at most `patience` seconds; None: as long as it takes."""
        end = None if patience is None else monotonic() + patience
        for thread in list(self._speakers.values()):
            thread.join(None if end is None else max(end - monotonic(), 0.0))

    def _is_busy(self, name: str) -> bool:
        return name in self._speakers and self._speakers[name].is_alive()

    def _due(self) -> list[str]:
        """Return the channels to which something may be sent now."""
        now = self._clock.now()
        with self._ledger.read() as connection:
            due = _rows(connection, t.deliveries.c.due <= t.micros(now))
            return sorted({row.channel for row in self._audible(due, now, connection)})

    def _speak(self, name: str) -> int:
        """Send what waits for one channel until it fails; return how many messages it took."""
        taken = 0
        # What another process sends now it sends to the end.
        with suppress(Busy, LeaseLost, StoreUnavailable):
            holder = "the one who tells of alerts"
            with self._ledger.lease(f"alerts:{name}", holder=holder, ttl=_TTL, clock=self._clock) as lease:
                while (message := self._composed(name)) is not None:
                    problem = self._told(name, message)
                    with self._ledger.write() as connection:
                        lease.check(connection)
                        self._settled(name, message, problem, connection)
                    if problem:
                        break
                    taken += 1
        return taken

    def _told(self, name: str, message: Message) -> str:
        """Send a message; return what went wrong, in words."""
        try:
            self._routes.channels[name]().send(message)
        except DeliveryFailed as error:
            return str(error)
        except TreadleError as error:  # it cannot even be made
            _log.warning("channel %s cannot be used: %s", name, error)
            return str(error)
        except Exception as error:  # noqa: BLE001 - a channel may be anybody's, and its errors may hold its secrets
            _log.warning("channel %s raised %s", name, type(error).__name__)
            return f"the channel raised {type(error).__name__}"
        return ""

    def _composed(self, name: str) -> Message | None:
        """Return the next message of a channel, and note that it is tried; None: nothing may be sent now."""
        now = self._clock.now()
        chosen = (t.deliveries.c.channel == name) & (t.deliveries.c.due <= t.micros(now))
        with self._ledger.read() as connection:
            if not self._audible(_rows(connection, chosen), now, connection):
                return None
        with self._ledger.write() as connection:
            rows = self._audible(_rows(connection, chosen), now, connection)[:_AT_ONCE]
            if not rows:
                return None
            first = rows[0]
            same = [row for row in rows if _belongs(row, first)]
            message = first.message or _message_id(same, now)
            for row in same:
                # It stays due: who is killed before this is settled has told nobody for certain.
                tried = {"tries": row.tries + 1, "begun": row.begun or now}
                _write(connection, msgspec.structs.replace(row, message=message, **tried))
            alerts = _alerts(connection, [row.alert for row in same])
        return Message(
            id=message, state=first.state, rule=first.rule, severity=first.severity, alerts=tuple(alerts)
        )

    def _audible(self, rows: list[Waiting], now: datetime, connection: Connection) -> list[Waiting]:
        active = self._silences.active(now, connection) if rows else []
        return [
            row for row in rows if not any(fits(one, rule=row.rule, subject=row.subject) for one in active)
        ]

    def _settled(self, name: str, message: Message, problem: str, connection: Connection) -> None:
        """Note what became of a message."""
        now = self._clock.now()
        chosen = (t.deliveries.c.channel == name) & t.deliveries.c.alert.in_([a.id for a in message.alerts])
        rows = [row for row in _rows(connection, chosen) if row.message == message.id]
        over = [row for row in rows if not problem or now - (row.begun or row.at) > _PATIENCE]
        _remove(connection, over)
        for row in rows:
            if row not in over:
                pause = min(_FIRST_PAUSE * 2 ** min(row.tries - 1, 20), _LONGEST_PAUSE)
                _write(connection, msgspec.structs.replace(row, problem=problem, due=now + pause))
        if problem:
            if over:
                _log.warning("alerts given up after %s: %s", _PATIENCE, problem)
            return
        for alert in _alerts(connection, [row.alert for row in over]):
            left = connection.execute(
                select(func.count()).select_from(t.deliveries).where(t.deliveries.c.alert == alert.id)
            ).scalar_one()
            told = alert.told_at or now
            if message.state == "repeated":
                told = now
            changed = msgspec.structs.replace(alert, told_at=told, delivered=left == 0)
            store(connection, changed)

    def _forget_others(self) -> None:
        """Forget what waits for channels that there are no more."""
        known = t.deliveries.c.channel.in_(list(self._routes.channels))
        with self._ledger.read() as connection:
            if not _rows(connection, ~known, limit=1):
                return
        with self._ledger.write() as connection:
            connection.execute(delete(t.deliveries).where(~known))


def store(connection: Connection, alert: Alert) -> None:
    """Write an alert down, new or changed."""
    t.put(
        connection,
        t.alerts,
        id=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        at=t.micros(alert.at),
        open=alert.resolved_at is None,
        acknowledged_at=None if alert.acknowledged is None else t.micros(alert.acknowledged.at),
        body=to_json(alert),
    )


def _row(alert: Alert, channel: str, state: State, *, at: datetime, due: datetime) -> Waiting:
    return Waiting(
        channel=channel,
        alert=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        severity=alert.severity,
        state=state,
        at=at,
        due=due,
    )


def _belongs(row: Waiting, first: Waiting) -> bool:
    """Return whether two rows are told together: what was tried together stays so."""
    if first.message:
        return row.message == first.message
    same = (row.rule, row.severity, row.state) == (first.rule, first.severity, first.state)
    return same and not row.message


def _message_id(rows: Sequence[Waiting], now: datetime) -> str:
    first = rows[0]
    parts = [first.alert, first.state]
    if first.state == "repeated":
        parts.append(str(int(now.timestamp())))
    return ".".join(parts if len(rows) == 1 else [*parts, f"and-{len(rows) - 1}"])


def _write(connection: Connection, row: Waiting) -> None:
    values = {"channel": row.channel, "alert": row.alert, "due": t.micros(row.due)}
    t.put(connection, t.deliveries, **values, body=to_json(row))


def _remove(connection: Connection, rows: Iterable[Waiting]) -> None:
    for row in rows:
        this = (t.deliveries.c.channel == row.channel) & (t.deliveries.c.alert == row.alert)
        connection.execute(delete(t.deliveries).where(this))


def _rows(connection: Connection, *chosen: object, limit: int | None = None) -> list[Waiting]:
    wanted = select(t.deliveries.c.body).where(*chosen).order_by(t.deliveries.c.alert).limit(limit)  # type: ignore[arg-type]
    return [from_json(body, Waiting) for body in connection.execute(wanted).scalars()]


def _alerts(connection: Connection, ids: Sequence[str]) -> list[Alert]:
    wanted = select(t.alerts.c.body).where(t.alerts.c.id.in_(ids)).order_by(t.alerts.c.id)
    return [from_json(body, Alert) for body in connection.execute(wanted).scalars()]
