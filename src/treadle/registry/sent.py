"""What a mirror was told of each subject, as rows of the ledger: by them is known what is still to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, select

from treadle.core.records import Record, from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: `begun`: it may be there; `open`: it is there and may change; `doubtful`: all was told, and is told once more a little later,
#: as something may have gone on meanwhile; `done`: nothing is left to tell, and `retired`: nor that its package was
#: collected; `refused`: the mirror will not take it.
State = Literal["begun", "open", "doubtful", "done", "retired", "refused"]
#: The subject of the row about the mirror itself.
ITSELF = ""


class Sent(Record, frozen=True, kw_only=True):
    """What a mirror was told of one subject."""

    mirror: str
    #: The reference of a run, a trial or a version, or `alias:delay@champion`; empty: the mirror itself.
    subject: str
    state: State
    at: datetime
    #: The mirror's own name of it; empty: not known yet.
    remote: str = ""
    #: What was told last, as a digest or, of an alias, the version.
    told: str = ""
    #: Of a run under way: the moment of the last metric that was told.
    until: datetime | None = None
    #: Whether a request to make it was sent whose answer is not known: it may be there twice.
    unsure: bool = False
    #: Why it was refused, or why the mirror could not be reached; and the seconds that this took to find out.
    error: str = ""
    seconds: float = 0.0


class SentRows:
    """The rows of one mirror."""

    def __init__(self, ledger: Ledger, mirror: str) -> None:
        self.mirror = mirror
        self._ledger = ledger

    def get(self, subject: str) -> Sent | None:
        """Return what is known of a subject."""
        wanted = select(t.mirrored.c.body).where(
            (t.mirrored.c.mirror == self.mirror) & (t.mirrored.c.subject == subject)
        )
        with self._ledger.read() as connection:
            body = connection.execute(wanted).scalar()
        return None if body is None else from_json(body, Sent)

    def refused(self) -> Sequence[Sent]:
        """Return what the mirror will not take."""
        wanted = select(t.mirrored.c.body).where(
            (t.mirrored.c.mirror == self.mirror) & (t.mirrored.c.state == "refused")
        )
        with self._ledger.read() as connection:
            return [
                from_json(body, Sent)
                for body in connection.execute(wanted.order_by(t.mirrored.c.at)).scalars()
            ]

    def put(self, sent: Sent, connection: Connection) -> Sent:
        """Write a row, in the caller's transaction."""
        row = {"mirror": self.mirror, "subject": sent.subject, "state": sent.state}
        t.put(connection, t.mirrored, **row, at=t.micros(sent.at), body=to_json(sent))
        return sent

    def drop(self, subject: str, connection: Connection) -> None:
        """Remove a row, in the caller's transaction."""
        connection.execute(
            delete(t.mirrored).where((t.mirrored.c.mirror == self.mirror) & (t.mirrored.c.subject == subject))
        )

    def forget(self) -> None:
        """Remove all rows, so that everything is told again and found again by its id."""
        with self._ledger.write() as connection:
            connection.execute(delete(t.mirrored).where(t.mirrored.c.mirror == self.mirror))
