"""What a mirror was not told yet: the ledger compared with what was sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, String, and_, cast, or_, select

from treadle.core.records import Record
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: After this a mirror is asked again for what it refused.
REFUSED_FOR = timedelta(hours=1)
#: After this what is doubtful is told once more: a request that hung has been answered by then, or never will be.
DOUBTED_FOR = timedelta(minutes=1)


class Unsent(Record, frozen=True, kw_only=True):
    """What is to be sent, in the order in which it is sent."""

    #: Ids of runs, oldest first; one that is under way may have nothing new.
    runs: tuple[str, ...] = ()
    #: Versions as `delay/3`, oldest first.
    versions: tuple[str, ...] = ()
    #: Aliases as `delay@champion`, and the version that each points at now (None: it is gone).
    aliases: tuple[tuple[str, int | None], ...] = ()
    #: Versions whose card is missing, newest first.
    cards: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return how many things are to be sent."""
        return len(self.runs) + len(self.versions) + len(self.aliases) + len(self.cards)


def unsent(ledger: Ledger, mirror: str, *, now: datetime, eager: bool = False) -> Unsent:
    """Compare the ledger with what a mirror was told; `eager`: also with what it refused lately."""
    due = _due(now, eager=eager)
    run, version = t.runs.c, t.model_versions.c
    name = version.model + "/" + cast(version.version, String)
    # A quote within a text is escaped, so only the field itself looks so.
    collected = and_(t.mirrored.c.state == "done", version.body.like('%"collected_at":"%'))
    with ledger.read() as connection:
        runs = _beside(select(run.id), "run:" + run.id, mirror).where(due).order_by(run.id)
        versions = _beside(select(name), "model_version:" + name, mirror).where(or_(due, collected))
        cards = _beside(select(name), "card:" + name, mirror).where(due)
        return Unsent(
            runs=tuple(connection.execute(runs).scalars()),
            versions=tuple(
                connection.execute(versions.order_by(version.created_at, version.version)).scalars()
            ),
            aliases=_aliases(connection, mirror, due),
            cards=tuple(connection.execute(cards.order_by(version.created_at.desc())).scalars()),
        )


def _aliases(
    connection: Connection, mirror: str, due: ColumnElement[bool]
) -> tuple[tuple[str, int | None], ...]:
    alias, sent = t.aliases.c, t.mirrored.c
    name = alias.model + "@" + alias.alias
    moved = and_(sent.state == "done", ~sent.body.like('%"told":"' + cast(alias.version, String) + '"%'))
    there = _beside(select(name.label("name"), alias.version), "alias:" + name, mirror)
    found = [
        (row.name, row.version) for row in connection.execute(there.where(or_(due, moved)).order_by(name))
    ]
    known = select(sent.subject).where((sent.mirror == mirror) & sent.subject.startswith("alias:"))
    gone = known.where(sent.subject.not_in(select("alias:" + name)))
    return (
        *found,
        *((subject.removeprefix("alias:"), None) for subject in connection.execute(gone).scalars()),
    )


def _beside(wanted: Select[Any], subject: ColumnElement[str], mirror: str) -> Select[Any]:
    """Join what was sent of each subject."""
    matches = and_(t.mirrored.c.mirror == mirror, t.mirrored.c.subject == subject)
    return wanted.outerjoin(t.mirrored, matches)


def _due(now: datetime, *, eager: bool) -> ColumnElement[bool]:
    state, at = t.mirrored.c.state, t.mirrored.c.at
    refused = now if eager else now - REFUSED_FOR
    return or_(
        state.is_(None),
        state.in_(("begun", "open")),
        and_(state == "doubtful", at <= t.micros(now - DOUBTED_FOR)),
        and_(state == "refused", at <= t.micros(refused)),
    )
