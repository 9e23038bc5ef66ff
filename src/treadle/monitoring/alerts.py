"""Messages to people: raised once, delivered at least once, resolved when they no longer hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, select

from treadle.core.alert import Acknowledgement, Alert, Concern, Silence
from treadle.core.clock import Clock
from treadle.core.errors import Conflict, InvalidInput, not_found
from treadle.core.ids import new_id
from treadle.core.paging import USUAL, Paged
from treadle.core.records import from_json, to_json
from treadle.monitoring import kept
from treadle.monitoring.channelled import Channelled
from treadle.monitoring.courier import Courier
from treadle.monitoring.outbox import store
from treadle.monitoring.routes import Routes
from treadle.monitoring.rules import Rules, Sighting, is_alert, seen
from treadle.monitoring.silences import Silences
from treadle.store.ledger import paging
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.remembered import Remembered

#: Seconds that a round of deliveries waits for slow channels before it looks for others, and for the last ones when all ends.
_PATIENCE, _LAST = 2.0, 10.0
#: The rule and the subject of an alert.
About = tuple[str, str]


class Standing(NamedTuple):
    """Which alerts are open, and what is counted towards one."""

    open: Collection[About]
    counted: Mapping[About, Sighting]


class Alerts(Channelled):
    """Alerts of all rules. A look that finds nothing new writes nothing.

    An alert is kept before it is sent, and what its channels have not taken yet is sent again later.

    >>> alerts.raise_("stale-data", "model:delay", "The newest row is 3d old.")  # doctest: +SKIP
    >>> alerts.resolve("stale-data", "model:delay")                              # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        routes: Routes | None = None,
        rules: Rules | None = None,
        world: Clock | None = None,
        keep: timedelta = timedelta(days=365),
    ) -> None:
        """Take what alerts go by. `world` is the clock of those who are told, by default the project's."""
        self._ledger, self._clock, self._remembered = ledger, clock, Remembered(ledger)
        super().__init__(ledger=ledger, routes=routes or Routes(), world=world or clock)
        self._rules, self._keep = rules or Rules(), keep
        self._silences = Silences(ledger)
        self._courier: Courier | None = None

    def raise_(
        self, rule: str, subject: str, text: str, *, event: str = "", connection: Connection | None = None
    ) -> Alert | None:
        """Raise an alert, or return the one that is open for this rule and subject, as it was raised.

        None: the rule asks for more than this before somebody is told. Inside the caller's transaction, where one is given,
        it is only kept: `deliver` sends it afterwards.
        """
        concern = Concern(rule, subject, text, event)
        if connection is not None:
            return self._found_in(connection, concern)
        found = self._find(rule, subject)
        if found is None and self._is_news(concern):
            with self._ledger.write() as own:
                self._found_in(own, concern)
        self.deliver()
        return self._find(rule, subject)

    def resolve(self, rule: str, subject: str) -> Alert | None:
        """Close the open alert of a rule and subject, and tell; None: there is none."""
        closed = None
        if self._find(rule, subject) is not None or self._is_seen(rule, subject):
            with self._ledger.write() as connection:
                closed = self._ended_in(connection, rule, subject)
        self.deliver()
        return None if closed is None else self.get(closed.id)

    def settle(self, rule: str, found: Mapping[str, str]) -> list[Alert]:
        """Make the open alerts of a rule those that hold now (subject → text), and return them."""
        concerns = [Concern(rule, subject, text) for subject, text in sorted(found.items())]
        looked = {(rule, alert.subject) for alert in self.open() if alert.rule == rule}
        looked |= {about for about in self._sightings() if about[0] == rule}
        self.see(concerns, looked=looked)
        return [alert for alert in self.open() if alert.rule == rule][::-1]

    def standing(self) -> Standing:
        """Return which alerts are open and what is counted, for many looks at one state."""
        return Standing({(alert.rule, alert.subject) for alert in self.open()}, self._sightings())

    def see(
        self, concerns: Iterable[Concern], *, looked: Collection[About] = (), standing: Standing | None = None
    ) -> None:
        """Take what a look has found: raise what is new, and resolve what was `looked` at and no longer holds.

        All of it is one transaction, so that subjects of one rule are told together; where nothing changed, nothing is written.
        Where nothing changes by `standing`, as it was a moment ago, nothing is read or sent either.
        """
        holding = {(one.rule, one.subject): one for one in concerns}
        if standing is not None and not any(self._changes(holding, looked, standing)):
            return
        new, over = self._changes(holding, looked, self.standing())
        if new or over:
            with self._ledger.write() as connection:
                for about in sorted(set(over)):
                    self._ended_in(connection, *about)
                for concern in new:
                    self._found_in(connection, concern)
        self.deliver()

    def open(self) -> Sequence[Alert]:
        """Return the alerts that hold now, newest first."""
        return self._select(t.alerts.c.open.is_(True))

    def history(
        self, *, rule: str | None = None, subject: str | None = None, limit: int = 100
    ) -> Sequence[Alert]:
        """Return open and resolved alerts, newest first."""
        return self._select(*kept.about(rule, subject), limit=limit)

    def page(
        self,
        *,
        rule: str | None = None,
        subject: str | None = None,
        is_open: bool | None = None,
        after: str = "",
        limit: int = USUAL,
    ) -> Paged[Alert]:
        """Return one part of the alerts, newest first; what is given narrows it down."""
        wanted = select(t.alerts.c.body).where(*kept.about(rule, subject))
        wanted = wanted if is_open is None else wanted.where(t.alerts.c.open.is_(is_open))
        with self._ledger.read() as connection:
            return paging.part(connection, wanted, Alert, by=[t.alerts.c.id], after=after, limit=limit)

    def get(self, name: str) -> Alert:
        """Return one alert, by its id.

        Raises:
            NotFound: there is none, or it was resolved so long ago that it is no longer kept.
        """
        found = self._select(t.alerts.c.id == name)
        if not found:
            raise not_found("alert", name, [alert.id for alert in self.open()])
        return found[0]

    def acknowledge(self, name: str, *, actor: str, reason: str) -> Alert:
        """Say that somebody has taken an open alert on: it is not told again while it holds.

        Raises:
            NotFound: there is none of that id.
            Conflict: it was resolved, or somebody else has taken it on.
            InvalidInput: there is no reason.
        """
        if not reason.strip():
            msg = "An acknowledgement needs a reason: what is being done about it."
            raise InvalidInput(msg, field="reason")
        self.get(name)
        with self._ledger.write() as connection:
            found = kept.alert(connection, name)
            if found is None or found.resolved_at is not None:
                msg = f"Alert {name} was resolved meanwhile: there is nothing to take on."
                raise Conflict(msg)
            if found.acknowledged is not None and found.acknowledged.actor != actor:
                taken = found.acknowledged
                msg = f"Alert {name} was taken on by {taken.actor} at {taken.at:%Y-%m-%d %H:%M} UTC: {taken.reason}"
                raise Conflict(msg)
            done = Acknowledgement(at=self._clock.now(), actor=actor, reason=reason)
            changed = msgspec.structs.replace(found, acknowledged=done)
            store(connection, changed)
        return changed

    def silence(
        self, *, rule: str = "*", subject: str = "*", until: datetime | timedelta, actor: str, reason: str
    ) -> Silence:
        """Let nobody be told of some alerts until a moment, or for a time; they are kept, and told then if they still hold.

        `rule` and `subject` are patterns, as `stale-*` and `model:delay`.

        Raises:
            InvalidInput: the moment has passed, or there is no reason.
        """
        now = self._world.now()
        end = now + until if isinstance(until, timedelta) else until
        return self._silences.add(rule=rule, subject=subject, until=end, now=now, actor=actor, reason=reason)

    def unsilence(self, name: str) -> Silence:
        """End a silence before its time; what it held back is told.

        Raises:
            NotFound: there is none of that id.
        """
        ended = self._silences.end(name, now=self._world.now())
        self.deliver()
        return ended

    def silences(self) -> list[Silence]:
        """Return the silences that hold now."""
        return self._silences.active(self._world.now())

    def deliver(self) -> int:
        """Send what is due; return how many messages were taken. Within `beside` it is left to a thread."""
        if self._courier is not None:
            self._courier.wake()
            return 0
        return self._round()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Deliver in a thread as long as the block lasts, so that a channel that hangs holds nothing up."""
        courier = Courier(lambda: self._round(patience=_PATIENCE))
        try:
            with courier.running() as self._courier:
                try:
                    yield
                finally:
                    self._courier = None
        finally:
            self._outbox.rest(_LAST)

    def _round(self, *, patience: float | None = None) -> int:
        """Send what is due, and first let those wait that are told again and again."""
        waits = self._remembered.of("waiting", lambda: bool(self._outbox.waiting()))
        if not waits and not self._rules.any_repeated:
            return 0
        self._repeat()
        return self._outbox.send(patience=patience)

    def _repeat(self) -> None:
        if not self._rules.any_repeated:
            return
        waiting = {(row.channel, row.alert) for row in self._outbox.waiting()}
        late = [
            alert for alert in self.open() if self._is_late(alert) and self._outbox.may_repeat(alert, waiting)
        ]
        if not late:
            return
        with self._ledger.write() as connection:
            for alert in late:
                now = kept.alert(connection, alert.id)
                if now is None or now.resolved_at is not None or not self._is_late(now):
                    continue
                if self._outbox.repeat(now, connection):
                    store(connection, msgspec.structs.replace(now, delivered=False))

    def _is_late(self, alert: Alert) -> bool:
        every = self._rules.of(alert.rule).repeat
        return (
            every is not None
            and alert.acknowledged is None
            and alert.delivered is not None
            and self._world.now() - (alert.told_at or alert.at) >= every
        )

    def _changes(
        self, holding: Mapping[About, Concern], looked: Collection[About], standing: Standing
    ) -> tuple[list[Concern], list[About]]:
        """Return what is to be raised or counted, and what is over."""
        there, waiting = standing.open, standing.counted
        new = [one for about, one in holding.items() if about not in there and self._is_news(one, waiting)]
        over = [about for about in looked if about in there and about not in holding]
        counted = [about for about in looked if about not in holding and about in waiting]
        return new, over + [about for about in counted if waiting[about].since]

    def _is_news(self, concern: Concern, waiting: Mapping[About, Sighting] | None = None) -> bool:
        """Return whether what was found and is no open alert changes anything."""
        rule = self._rules.of(concern.rule)
        if not rule.is_patient:
            return True
        there = self._sightings() if waiting is None else waiting
        before, now = there.get((concern.rule, concern.subject)), self._clock.now()
        after = seen(before, event=concern.event, now=now, rule=rule)
        return after != before or is_alert(after, now=now, rule=rule)

    def _found_in(self, connection: Connection, concern: Concern) -> Alert | None:
        """Keep what was found, as an alert where the rule has enough; nothing is sent."""
        there = kept.open_one(connection, concern.rule, concern.subject)
        if there is not None:
            return there
        rule, now = self._rules.of(concern.rule), self._clock.now()
        if rule.is_patient:
            before = kept.sightings(connection).get((concern.rule, concern.subject))
            after = seen(before, event=concern.event, now=now, rule=rule)
            self._note(connection, concern.rule, concern.subject, after)
            if not is_alert(after, now=now, rule=rule):
                return None
        alert = Alert(
            id=new_id("alert"),
            rule=concern.rule,
            subject=concern.subject,
            text=concern.text,
            at=now,
            severity=rule.severity,
        )
        told = self._outbox.last_told(alert.rule, alert.subject, connection) if rule.cooldown else None
        earliest = None if told is None else told + rule.cooldown
        is_sent = self._outbox.put(
            alert, state="raised", connection=connection, earliest=earliest, group=rule.group
        )
        made = msgspec.structs.replace(alert, delivered=False if is_sent else None)
        store(connection, made)
        return made

    def _ended_in(self, connection: Connection, rule: str, subject: str) -> Alert | None:
        """Close what is open or was seen; nothing is sent."""
        sighting = (
            kept.sightings(connection).get((rule, subject)) if self._rules.of(rule).is_patient else None
        )
        if sighting is not None:
            self._note(connection, rule, subject, msgspec.structs.replace(sighting, since=None))
        still = kept.open_one(connection, rule, subject)
        if still is None:
            return None
        ended = msgspec.structs.replace(still, resolved_at=self._clock.now())
        is_sent = self._outbox.resolve(ended, connection)
        closed = msgspec.structs.replace(ended, delivered=False if is_sent else None)
        store(connection, closed)
        old = t.alerts.c.open.is_(False) & (t.alerts.c.at < t.micros(self._clock.now() - self._keep))
        connection.execute(delete(t.alerts).where(old))
        return closed

    def _note(self, connection: Connection, rule: str, subject: str, sighting: Sighting) -> None:
        """Keep what was seen, unless nothing of it counts any more."""
        recent = self._clock.now() - self._rules.of(rule).period
        this = (t.sightings.c.rule == rule) & (t.sightings.c.subject == subject)
        if sighting.since is None and not any(at > recent for at in sighting.begun):
            connection.execute(delete(t.sightings).where(this))
        else:
            t.put(connection, t.sightings, rule=rule, subject=subject, body=to_json(sighting))

    def _is_seen(self, rule: str, subject: str) -> bool:
        sighting = self._sightings().get((rule, subject)) if self._rules.of(rule).is_patient else None
        return sighting is not None and sighting.since is not None

    def _sightings(self) -> dict[About, Sighting]:
        if not self._rules.any_patient:
            return {}
        with self._ledger.read() as connection:
            return kept.sightings(connection)

    def _find(self, rule: str, subject: str) -> Alert | None:
        with self._ledger.read() as connection:
            return kept.open_one(connection, rule, subject)

    def _select(self, *chosen: Any, limit: int | None = None) -> Sequence[Alert]:
        wanted = select(t.alerts.c.body).where(*chosen).order_by(t.alerts.c.id.desc()).limit(limit)
        with self._ledger.read() as connection:
            return [from_json(body, Alert) for body in connection.execute(wanted).scalars()]
