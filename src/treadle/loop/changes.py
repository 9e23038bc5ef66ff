"""Changes as the ledger keeps them, by relation: each read from the newest back, only as far as somebody wants to see."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, String, Table, cast, select

from treadle.core.alert import Alert, Silence
from treadle.core.people import Event
from treadle.core.records import Alias, DatasetVersion, Record, Revision, Run, from_json
from treadle.core.rollout import RolloutState
from treadle.data.tags import Tag
from treadle.loop.approvals import Approval
from treadle.loop.facts import Request
from treadle.store.ledger import tables as t

#: Who acts where nobody is named: runs are started by a watcher or a person, and the reason says which.
LOOP = "treadle"
#: Who acts where only a person can, and the record does not say who.
PERSON = "a person"
#: Rows that are fetched at once.
_AT_ONCE = 200


class Entry(Record, frozen=True, kw_only=True):
    """One change."""

    at: datetime
    #: What kind of change it is, of `audit.KINDS`.
    kind: str
    #: What was changed, as `delay@champion`, `endpoint:delay` or `flights/12`.
    subject: str
    #: What was done, as `version 3 → 4`.
    what: str
    actor: str
    reason: str


class Wanted(NamedTuple):
    """What is looked for."""

    kind: str = ""
    #: Parts of the names.
    subject: str = ""
    actor: str = ""
    since: datetime | None = None
    #: The last moment that counts, in microseconds since 1970; None: there is no last one.
    upto: int | None = None


Stream = Callable[[Connection, Wanted], Iterator[Entry]]


def _newest(
    connection: Connection,
    table: Table,
    kind: Any,
    at: Column[Any],
    wanted: Wanted,
    *,
    subject: ColumnElement[str] | None = None,
    chosen: ColumnElement[bool] | None = None,
) -> Iterator[Any]:
    """Yield records from the newest back, by a column that an index has; `subject` is what the change is of, as SQL."""
    query = (
        select(table.c.body)
        .where(at.is_not(None))
        .order_by(at.desc(), *(column.desc() for column in table.primary_key.columns))
    )
    if chosen is not None:
        query = query.where(chosen)
    if wanted.upto is not None:
        query = query.where(at <= wanted.upto)
    if wanted.since is not None:
        query = query.where(at >= t.micros(wanted.since))
    if wanted.subject and subject is not None:
        query = query.where(subject.contains(wanted.subject, autoescape=True))
    with connection.execute(query, execution_options={"yield_per": _AT_ONCE}) as found:
        for row in found:
            yield from_json(row.body, kind)


def _few(connection: Connection, table: Table, kind: Any, wanted: Wanted) -> Iterator[Any]:
    """Yield the records of a relation of which there never are many, from the newest back."""
    found = [from_json(body, kind) for body in connection.execute(select(table.c.body)).scalars()]
    for one in sorted(found, key=lambda one: one.at, reverse=True):
        if wanted.upto is None or t.micros(one.at) <= wanted.upto:
            yield one


def _aliases(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    c = t.alias_history.c
    subject = c.model + "@" + c.alias
    for move in _newest(connection, t.alias_history, Alias, c.at, wanted, subject=subject):
        before = f"version {move.previous} → {move.version}" if move.previous else f"version {move.version}"
        yield Entry(
            at=move.at,
            kind="alias",
            subject=f"{move.model}@{move.alias}",
            what=before,
            actor=move.actor,
            reason=move.reason,
        )


def _revisions(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    c = t.revisions.c
    for one in _newest(
        connection, t.revisions, Revision, c.created_at, wanted, subject="endpoint:" + c.endpoint
    ):
        shares = ", ".join(f"{v.name} {v.model}/{v.version} at {v.weight:g}" for v in one.variants)
        yield Entry(
            at=one.created_at,
            kind="revision",
            subject=f"endpoint:{one.endpoint}",
            what=f"revision {one.revision}: {shares}",
            actor=one.actor,
            reason=one.reason,
        )


def _rollouts(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    """Yield the changes of rollouts, which overlap: one is read before any change that may be younger than its last."""
    c, waiting = t.rollouts.c, list[tuple[int, int, Entry]]()
    query = select(c.body, c.changed_at).order_by(c.changed_at.desc())
    if wanted.upto is not None:
        query = query.where(c.started_at <= wanted.upto)
    if wanted.subject:
        query = query.where(("endpoint:" + c.endpoint).contains(wanted.subject, autoescape=True))
    number = 0
    with connection.execute(query, execution_options={"yield_per": _AT_ONCE}) as found:
        for row in found:
            while waiting and -waiting[0][0] >= row.changed_at:
                yield heapq.heappop(waiting)[-1]
            for entry in _of_rollout(from_json(row.body, RolloutState)):
                at, number = t.micros(entry.at), number + 1
                if wanted.upto is None or at <= wanted.upto:
                    heapq.heappush(waiting, (-at, number, entry))
    while waiting:
        yield heapq.heappop(waiting)[-1]


def _of_rollout(state: RolloutState) -> Iterator[Entry]:
    for change in reversed(state.history):
        version = f"{state.challenger.model}/{state.challenger.version}"
        yield Entry(
            at=change.at,
            kind="rollout",
            subject=f"endpoint:{state.endpoint}",
            what=f"{change.what} {version}, step {change.stage + 1} of {len(state.stages)}",
            actor=change.actor,
            reason=change.reason,
        )


def _waiting(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    for one in _newest(connection, t.approvals, Approval, t.approvals.c.asked_at, wanted, subject=_APPROVED):
        subject = f"{one.model}/{one.version}"
        yield Entry(
            at=one.asked_at, kind="approval", subject=subject, what="waits", actor=one.run, reason=one.reason
        )


def _decided(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    for one in _newest(
        connection, t.approvals, Approval, t.approvals.c.decided_at, wanted, subject=_APPROVED
    ):
        yield Entry(
            at=one.decided_at,
            kind="approval",
            subject=f"{one.model}/{one.version}",
            what=one.state,
            actor=one.actor,
            reason=one.why,
        )


def _runs(connection: Connection, at: Column[Any], wanted: Wanted) -> Iterator[Run]:
    """Yield runs, of which there may be very many: where a subject is looked for, only those of the models that have it."""
    plain = wanted._replace(subject="")
    if not wanted.subject:
        yield from _newest(connection, t.runs, Run, at, plain)
        return
    known = connection.execute(select(t.runs.c.model).distinct()).scalars()
    models = [name for name in known if wanted.subject in f"model:{name}"]
    # An index has each model's runs in order; that of all models would have others' in between.
    each = [_newest(connection, t.runs, Run, at, plain, chosen=t.runs.c.model == name) for name in models]
    yield from heapq.merge(*each, key=attrgetter(at.name), reverse=True)


def _begun(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    if wanted.actor not in LOOP:
        return
    for run in _runs(connection, t.runs.c.started_at, wanted):
        yield Entry(
            at=run.started_at,
            kind="run",
            subject=f"model:{run.model}",
            what=f"started {run.id}" if run.origin is None else f"imported {run.id}",
            actor=LOOP,
            reason=run.reason,
        )


def _ended(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    if wanted.actor not in LOOP:
        return
    for run in _runs(connection, t.runs.c.finished_at, wanted):
        yield Entry(
            at=run.finished_at or run.started_at,
            kind="run",
            subject=f"model:{run.model}",
            what=f"{run.status} {run.id}",
            actor=LOOP,
            reason=run.error,
        )


def _requests(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    c = t.requests.c
    for one in _newest(connection, t.requests, Request, c.at, wanted, subject="model:" + c.model):
        what = f"asked for a training; {one.run}" if one.run else "asked for a training; it waits"
        yield Entry(
            at=one.at,
            kind="request",
            subject=f"model:{one.model}",
            what=what,
            actor=one.actor,
            reason=one.reason,
        )


def _data(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    c = t.dataset_versions.c
    # Few versions are made by people: those are found by the index, and put in order here.
    by_hand = select(c.body).where(c.why > "")
    found = [from_json(body, DatasetVersion) for body in connection.execute(by_hand).scalars()]
    for one in sorted(found, key=lambda one: one.created_at, reverse=True):
        if wanted.upto is not None and t.micros(one.created_at) > wanted.upto:
            continue
        yield Entry(
            at=one.created_at,
            kind="data",
            subject=f"dataset:{one.dataset}/{one.version}",
            what=f"{one.removed:,} rows removed, {one.readmitted:,} taken out of quarantine",
            actor=one.actor or PERSON,
            reason=one.why,
        )


def _tags(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    for one in _few(connection, t.dataset_tags, Tag, wanted):
        yield Entry(
            at=one.at,
            kind="tag",
            subject=f"dataset:{one.dataset}/{one.version}",
            what=f"named {one.tag}",
            actor=one.actor or PERSON,
            reason=one.reason,
        )


def _alerts(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    c = t.alerts.c
    for one in _newest(connection, t.alerts, Alert, c.acknowledged_at, wanted, subject=c.subject):
        yield Entry(
            at=one.acknowledged.at,
            kind="alert",
            subject=one.subject,
            what=f"acknowledged {one.rule}",
            actor=one.acknowledged.actor,
            reason=one.acknowledged.reason,
        )


def _silences(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    for one in _few(connection, t.silences, Silence, wanted):
        yield Entry(
            at=one.at,
            kind="silence",
            subject=one.subject or "*",
            what=f"silenced {one.rule or 'every rule'} until {one.until:%Y-%m-%d %H:%M} UTC",
            actor=one.actor,
            reason=one.reason,
        )


def _team(connection: Connection, wanted: Wanted) -> Iterator[Entry]:
    for one in _newest(connection, t.team_events, Event, t.team_events.c.at, wanted):
        yield Entry(
            at=one.at, kind="team", subject=one.subject, what=one.what, actor=one.actor, reason=one.reason
        )


_APPROVED = t.approvals.c.model + "/" + cast(t.approvals.c.version, String)
#: Kind of change → what reads its changes, the newest first.
STREAMS: tuple[tuple[str, Stream], ...] = (
    ("alert", _alerts),
    ("alias", _aliases),
    ("approval", _waiting),
    ("approval", _decided),
    ("data", _data),
    ("request", _requests),
    ("revision", _revisions),
    ("rollout", _rollouts),
    ("run", _begun),
    ("run", _ended),
    ("silence", _silences),
    ("tag", _tags),
    ("team", _team),
)
