"""Materialisations: how far each feature view has been written to an online store, as the ledger remembers it.

What counts is the head in the store itself; this is what can still be told while the store does not answer.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from treadle.core.records import Record, from_json, to_json
from treadle.store.ledger import tables
from treadle.store.ledger.ledger import Ledger

#: Seconds for which another process that writes the same view is waited for.
PATIENCE = 600.0


class Materialisation(Record, frozen=True, kw_only=True):
    """How far a feature view has been written to an online store."""

    view: str
    #: The store, without its password.
    store: str
    #: The dataset version of which everything is there that could be seen at `until`.
    version: int
    until: datetime
    #: View time of the newest value; None: there is none.
    newest: datetime | None = None
    #: Entities that have a value.
    entities: int
    #: Values that this run wrote; 0: there was nothing new.
    written: int = 0
    at: datetime


class ViewFreshness(Record, frozen=True, kw_only=True):
    """How fresh the online values of a feature view are."""

    view: str
    store: str
    entities: int = 0
    #: View time of the newest value, and seconds since then.
    newest: datetime | None = None
    age: float | None = None
    #: The dataset version that was materialised, and up to which moment; None: nothing was yet.
    version: int | None = None
    until: datetime | None = None
    #: Dataset versions that came since.
    behind: int = 0
    #: What a person should know, as that the store does not answer; the numbers are then those of the last run.
    problem: str = ""

    @classmethod
    def of(
        cls, found: Materialisation, *, now: datetime, newest_version: int, problem: str = ""
    ) -> ViewFreshness:
        """Return how fresh a view is, given how far it was materialised."""
        return cls(
            view=found.view,
            store=found.store,
            entities=found.entities,
            newest=found.newest,
            age=None if found.newest is None else (now - found.newest).total_seconds(),
            version=found.version,
            until=found.until,
            behind=newest_version - found.version,
            problem=problem,
        )


def remember(connection: Connection, done: Materialisation) -> None:
    """Store a run in the place of the view's last to that store."""
    at, body = tables.micros(done.at), to_json(done)
    tables.put(connection, tables.materialisations, view=done.view, store=done.store, at=at, body=body)


def remembered(ledger: Ledger, view: str, *, store: str) -> Materialisation | None:
    """Return a view's last run to a store, or None."""
    rows = tables.materialisations
    query = select(rows.c.body).where(rows.c.view == view, rows.c.store == store)
    with ledger.read() as connection:
        body = connection.execute(query).scalar()
    return None if body is None else from_json(body, Materialisation)


def served(ledger: Ledger) -> set[str]:
    """Return the views that were written to an online store once, whichever that was: somebody reads them there."""
    with ledger.read() as connection:
        return set(connection.execute(select(tables.materialisations.c.view)).scalars())
