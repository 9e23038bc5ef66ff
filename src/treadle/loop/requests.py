"""Wishes that a model be trained: kept until a run was started for them, in the transaction that starts it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from treadle.core.errors import Conflict, InvalidInput, TooManyRequests
from treadle.core.ids import digest_of, new_id
from treadle.core.records import from_json, to_json
from treadle.loop.facts import Request
from treadle.loop.rooms import Rooms
from treadle.store.ledger import tables as t

#: Characters of a reason at most: it stands in every decision that it causes.
LONGEST = 500
#: Characters of a key at most.
LONGEST_KEY = 200
_MINUTE = timedelta(minutes=1)
_ORDER = (t.requests.c.at, t.requests.c.id)


class Requests:
    """What people and programs asked for."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def ask(self, model: str, *, actor: str, reason: str, key: str = "", most: int | None = None) -> Request:
        """Ask for a training of a model; a watcher, or `treadle run --if-due`, makes it at its next look.

        What the same person asked for the same reason, and what still waits, is not asked twice. A `key` tells one wish from
        another for ever: what was asked with it before, whatever became of it, is returned and not asked again. `most` is how many
        wishes for a model may come within a minute.

        Raises:
            NotFound: the project declares no such model.
            InvalidInput: there is no reason, or too long a one, or too long a key.
            Conflict: the key was used for another reason, or by somebody else.
            TooManyRequests: more than `most` came within the last minute.
        """
        name, why = self._rooms.project.model(model).name, " ".join(reason.split())
        if not why or len(why) > LONGEST:
            msg = f"A request needs a reason of 1 to {LONGEST} characters; this one has {len(why)}."
            raise InvalidInput(msg, field="reason")
        if len(key) > LONGEST_KEY or not key.isprintable():
            msg = (
                f"A key of a request has at most {LONGEST_KEY} printable characters; this one has {len(key)}."
            )
            raise InvalidInput(msg, field="id")
        now = self._rooms.clock.now()
        with self._rooms.ledger.write() as connection:
            there = _keyed(connection, name, key) if key else _same(connection, name, actor=actor, reason=why)
            if there is not None:
                _check_same(there, actor=actor, reason=why)
                return there
            if most is not None:
                _check_pace(connection, name, since=now - _MINUTE, most=most)
            named = _id_of(name, key) if key else new_id("req")
            asked = Request(id=named, model=name, at=now, actor=actor, reason=why)
            row = {"id": asked.id, "model": name, "at": t.micros(asked.at), "run": ""}
            connection.execute(insert(t.requests).values(**row, body=to_json(asked)))
        return asked

    def waiting(self, model: str | None = None) -> Sequence[Request]:
        """Return what nothing was done about yet, of a model or of all, oldest first."""
        with self._rooms.ledger.read() as connection:
            return _waiting(connection, model)

    def list(self, model: str | None = None, *, limit: int = 100) -> Sequence[Request]:
        """Return what was ever asked for, newest first."""
        wanted = select(t.requests.c.body).order_by(*(c.desc() for c in _ORDER)).limit(limit)
        if model is not None:
            wanted = wanted.where(t.requests.c.model == model)
        with self._rooms.ledger.read() as connection:
            return [from_json(body, Request) for body in connection.execute(wanted).scalars()]


def serve(connection: Connection, model: str, requests: Sequence[Request]) -> None:
    """Note, in the transaction that starts a run of a model, that it was started for some requests."""
    if not requests:
        return
    run = connection.execute(select(func.max(t.runs.c.id)).where(t.runs.c.model == model)).scalar_one()
    for request in requests:
        served = msgspec.structs.replace(request, run=run, parents=(f"run:{run}",))
        chosen = (t.requests.c.id == request.id) & (t.requests.c.run == "")
        connection.execute(update(t.requests).where(chosen).values(run=run, body=to_json(served)))


def _id_of(model: str, key: str) -> str:
    """Return the id of a request that has a key: the same for the same key, so that there can only be one."""
    return f"req_{digest_of([model, key]).partition(':')[2][:26]}"


def _keyed(connection: Connection, model: str, key: str) -> Request | None:
    wanted = select(t.requests.c.body).where(t.requests.c.id == _id_of(model, key))
    body = connection.execute(wanted).scalar()
    return None if body is None else from_json(body, Request)


def _same(connection: Connection, model: str, *, actor: str, reason: str) -> Request | None:
    found = _waiting(connection, model)
    return next((one for one in found if (one.actor, one.reason) == (actor, reason)), None)


def _check_same(there: Request, *, actor: str, reason: str) -> None:
    if (there.actor, there.reason) != (actor, reason):
        msg = (
            f"This key belongs to the request {there.id} of {there.actor}, {there.at:%Y-%m-%d %H:%M}: {there.reason!r}. "
            "Expected the same reason, or a key of its own."
        )
        raise Conflict(msg)


def _check_pace(connection: Connection, model: str, *, since: datetime, most: int) -> None:
    recent = (t.requests.c.model == model) & (t.requests.c.at > t.micros(since))
    count = connection.execute(select(func.count()).select_from(t.requests).where(recent)).scalar_one()
    if count >= most:
        msg = f"{count} trainings of {model!r} were asked for within the last minute; {most} are accepted. Ask again in a minute."
        raise TooManyRequests(msg)


def _waiting(connection: Connection, model: str | None) -> list[Request]:
    wanted = select(t.requests.c.body).where(t.requests.c.run == "").order_by(*_ORDER)
    if model is not None:
        wanted = wanted.where(t.requests.c.model == model)
    return [from_json(body, Request) for body in connection.execute(wanted).scalars()]
