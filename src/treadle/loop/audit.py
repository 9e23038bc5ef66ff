"""Every change that somebody or something made, with who and why: read from what the ledger keeps of each, oldest last.

Nothing is written for it: moves of aliases, revisions, rollouts, approvals, requests, runs, names and corrections of dataset
versions, acknowledged alerts and silences keep their actor and reason themselves, in the transaction that made the change.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from treadle.core.alert import Alert, Silence
from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Alias, DatasetVersion, Record, Revision, Run, from_json
from treadle.core.rollout import RolloutState
from treadle.data.tags import Tag
from treadle.loop.approvals import Approval
from treadle.loop.facts import Request
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: What can be asked for.
KINDS = ("alert", "alias", "approval", "data", "request", "revision", "rollout", "run", "silence", "tag")
#: Who acts where nobody is named: runs are started by a watcher or a person, and the reason says which.
LOOP = "treadle"


class Entry(Record, frozen=True, kw_only=True):
    """One change."""

    at: datetime
    #: What kind of change it is, of `KINDS`.
    kind: str
    #: What was changed, as `delay@champion`, `endpoint:delay` or `flights/12`.
    subject: str
    #: What was done, as `version 3 → 4`.
    what: str
    actor: str
    reason: str


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
    if kind and kind not in KINDS:
        msg = f"No kind of change is {kind!r}. {closest(kind, KINDS)}"
        raise InvalidInput(msg, field="kind")
    with ledger.read() as connection:
        found = [
            entry
            for name in KINDS
            if kind in {"", name}
            for entry in _READERS[name](connection)
            if subject in entry.subject
            and actor in entry.actor
            and (since is None or entry.at >= since)
            and (until is None or entry.at < until)
        ]
    return sorted(found, key=lambda entry: entry.at, reverse=True)[:limit]


def _bodies(connection: Connection, table: Table, kind: Any) -> Iterator[Any]:
    for body in connection.execute(select(table.c.body)).scalars():
        yield from_json(body, kind)


def _aliases(connection: Connection) -> Iterator[Entry]:
    for move in _bodies(connection, t.alias_history, Alias):
        before = f"version {move.previous} → {move.version}" if move.previous else f"version {move.version}"
        yield Entry(
            at=move.at,
            kind="alias",
            subject=f"{move.model}@{move.alias}",
            what=before,
            actor=move.actor,
            reason=move.reason,
        )


def _revisions(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.revisions, Revision):
        shares = ", ".join(f"{v.name} {v.model}/{v.version} at {v.weight:g}" for v in one.variants)
        yield Entry(
            at=one.created_at,
            kind="revision",
            subject=f"endpoint:{one.endpoint}",
            what=f"revision {one.revision}: {shares}",
            actor=one.actor,
            reason=one.reason,
        )


def _rollouts(connection: Connection) -> Iterator[Entry]:
    for state in _bodies(connection, t.rollouts, RolloutState):
        for change in state.history:
            version = f"{state.challenger.model}/{state.challenger.version}"
            yield Entry(
                at=change.at,
                kind="rollout",
                subject=f"endpoint:{state.endpoint}",
                what=f"{change.what} {version}, step {change.stage + 1} of {len(state.stages)}",
                actor=change.actor,
                reason=change.reason,
            )


def _approvals(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.approvals, Approval):
        subject = f"{one.model}/{one.version}"
        yield Entry(
            at=one.asked_at, kind="approval", subject=subject, what="waits", actor=one.run, reason=one.reason
        )
        if one.decided_at is not None:
            yield Entry(
                at=one.decided_at,
                kind="approval",
                subject=subject,
                what=one.state,
                actor=one.actor,
                reason=one.why,
            )


def _runs(connection: Connection) -> Iterator[Entry]:
    for run in _bodies(connection, t.runs, Run):
        what = f"started {run.id}" if run.origin is None else f"imported {run.id}"
        yield Entry(
            at=run.started_at,
            kind="run",
            subject=f"model:{run.model}",
            what=what,
            actor=LOOP,
            reason=run.reason,
        )
        if run.finished_at is not None:
            yield Entry(
                at=run.finished_at,
                kind="run",
                subject=f"model:{run.model}",
                what=f"{run.status} {run.id}",
                actor=LOOP,
                reason=run.error,
            )


def _requests(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.requests, Request):
        what = f"asked for a training; {one.run}" if one.run else "asked for a training; it waits"
        yield Entry(
            at=one.at,
            kind="request",
            subject=f"model:{one.model}",
            what=what,
            actor=one.actor,
            reason=one.reason,
        )


def _data(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.dataset_versions, DatasetVersion):
        if one.why:
            yield Entry(
                at=one.created_at,
                kind="data",
                subject=f"dataset:{one.dataset}/{one.version}",
                what=f"{one.removed:,} rows removed, {one.readmitted:,} taken out of quarantine",
                actor="a person",
                reason=one.why,
            )


def _tags(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.dataset_tags, Tag):
        yield Entry(
            at=one.at,
            kind="tag",
            subject=f"dataset:{one.dataset}/{one.version}",
            what=f"named {one.tag}",
            actor=one.actor or "a person",
            reason=one.reason,
        )


def _alerts(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.alerts, Alert):
        done = one.acknowledged
        if done is not None:
            yield Entry(
                at=done.at,
                kind="alert",
                subject=one.subject,
                what=f"acknowledged {one.rule}",
                actor=done.actor,
                reason=done.reason,
            )


def _silences(connection: Connection) -> Iterator[Entry]:
    for one in _bodies(connection, t.silences, Silence):
        yield Entry(
            at=one.at,
            kind="silence",
            subject=one.subject or "*",
            what=f"silenced {one.rule or 'every rule'} until {one.until:%Y-%m-%d %H:%M} UTC",
            actor=one.actor,
            reason=one.reason,
        )


_READERS = {
    "alert": _alerts,
    "alias": _aliases,
    "approval": _approvals,
    "data": _data,
    "request": _requests,
    "revision": _revisions,
    "rollout": _rollouts,
    "run": _runs,
    "silence": _silences,
    "tag": _tags,
}
