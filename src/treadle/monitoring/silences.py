"""What people do not want to hear of for a time."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import Connection, delete, select

from treadle.core.alert import Silence
from treadle.core.errors import InvalidInput, not_found
from treadle.core.ids import new_id
from treadle.core.records import from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger


class Silences:
    """Silences that have not ended yet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self, *, rule: str, subject: str, until: datetime, now: datetime, actor: str, reason: str
    ) -> Silence:
        """Begin a silence; those that have ended are forgotten.

        Raises:
            InvalidInput: it would end before it begins, or says nothing of why.
        """
        if until <= now:
            msg = f"A silence until {until:%Y-%m-%d %H:%M} UTC would be over already. Expected a moment ahead, or a span as '2h'."
            raise InvalidInput(msg, field="until")
        if not reason.strip():
            msg = "A silence needs a reason, for those who wonder why they were not told."
            raise InvalidInput(msg, field="reason")
        made = Silence(
            id=new_id("silence"), rule=rule, subject=subject, until=until, at=now, actor=actor, reason=reason
        )
        with self._ledger.write() as connection:
            connection.execute(delete(t.silences).where(t.silences.c.until <= t.micros(now)))
            t.put(connection, t.silences, id=made.id, until=t.micros(until), body=to_json(made))
        return made

    def end(self, name: str, *, now: datetime) -> Silence:
        """End a silence.

        Raises:
            NotFound: there is none of that id.
        """
        with self._ledger.write() as connection:
            there = {one.id: one for one in self.active(now, connection)}
            if name not in there:
                raise not_found("silence", name, there)
            connection.execute(delete(t.silences).where(t.silences.c.id == name))
        return there[name]

    def active(self, now: datetime, connection: Connection | None = None) -> list[Silence]:
        """Return the silences that hold now, the oldest first."""
        wanted = select(t.silences.c.body).where(t.silences.c.until > t.micros(now)).order_by(t.silences.c.id)
        with self._ledger.read(connection) as reading:
            return [from_json(body, Silence) for body in reading.execute(wanted).scalars()]


def fits(silence: Silence, *, rule: str, subject: str) -> bool:
    """Return whether a silence is about a rule and a subject."""
    return fnmatchcase(rule, silence.rule) and fnmatchcase(subject, silence.subject)
