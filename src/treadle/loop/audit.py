"""Every change that somebody or something made, with who and why: read from what the ledger keeps of each, oldest last.

Nothing is written for it: moves of aliases, revisions, rollouts, approvals, requests, runs, names and corrections of dataset
versions, acknowledged alerts and silences, users and their tokens keep their actor and reason themselves, in the transaction that made the change.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection

from treadle.core.errors import InvalidInput, closest
from treadle.core.paging import USUAL, Paged
from treadle.loop.changes import LOOP as LOOP
from treadle.loop.changes import STREAMS, Entry, Wanted
from treadle.store.ledger import paging
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: What can be asked for.
KINDS = tuple(sorted({kind for kind, _ in STREAMS}))


def audit(
    ledger: Ledger,
    *,
    kind: str = "",
    subject: str = "",
    actor: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
) -> list[Entry]:
    """Return changes, the newest first; `subject` and `actor` are parts of the names that are looked for.

    Raises:
        InvalidInput: there is no such kind of change.
    """
    wanted = _wanted(kind, subject=subject, actor=actor, since=since, until=until)
    with ledger.read() as connection:
        return list(islice(_changes(connection, wanted), limit))


def audit_page(
    ledger: Ledger,
    *,
    kind: str = "",
    subject: str = "",
    actor: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    after: str = "",
    limit: int = USUAL,
) -> Paged[Entry]:
    """Return one part of the changes, the newest first; see `audit`.

    Raises:
        InvalidInput: there is no such kind of change, or the key of the part is not understood.
    """
    paging.check_limit(limit)
    wanted = _wanted(kind, subject=subject, actor=actor, since=since, until=until)
    # A key is the moment of the last change, and how many changes of that very moment have been given.
    last, given = paging.read(after, (int, int)) if after else (None, 0)
    if last is not None:
        wanted = wanted._replace(upto=last if wanted.upto is None else min(wanted.upto, last))
    with ledger.read() as connection:
        found = list(islice(_changes(connection, wanted), given, given + limit + 1))
    kept = found[:limit]
    if len(found) <= limit:
        return Paged(rows=tuple(kept))
    moment = t.micros(kept[-1].at)
    same = sum(t.micros(one.at) == moment for one in kept)
    return Paged(rows=tuple(kept), after=paging.written([moment, same + (given if last == moment else 0)]))


def _wanted(kind: str, *, subject: str, actor: str, since: datetime | None, until: datetime | None) -> Wanted:
    if kind and kind not in KINDS:
        msg = f"No kind of change is {kind!r}. {closest(kind, KINDS)}"
        raise InvalidInput(msg, field="kind")
    return Wanted(
        kind=kind,
        subject=subject,
        actor=actor,
        since=since,
        upto=None if until is None else t.micros(until) - 1,
    )


def _changes(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    """Yield the changes that are wanted, the newest first; each relation is read only as far as it is needed."""
    streams = [read(connection, wanted) for kind, read in STREAMS if wanted.kind in {"", kind}]
    for entry in heapq.merge(*streams, key=lambda one: one.at, reverse=True):
        if wanted.since is not None and entry.at < wanted.since:
            return
        if wanted.subject in entry.subject and wanted.actor in entry.actor:
            yield entry
