"""Wishes that a model be trained: kept until a run was started for them, in the transaction that starts it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from treadle.core.errors import InvalidInput
from treadle.core.ids import new_id
from treadle.core.records import from_json, to_json
from treadle.loop.facts import Request
from treadle.loop.rooms import Rooms
from treadle.store.ledger import tables as t

#: Characters of a reason at most: it stands in every decision that it causes.
LONGEST = 500


class Requests:
    """What people and programs asked for."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def ask(self, model: str, *, actor: str, reason: str) -> Request:
        """Ask for a training of a model; a watcher, or `treadle run --if-due`, makes it at its next look.

        What the same person asked for the same reason, and what still waits, is not asked twice.

        Raises:
            NotFound: the project declares no such model.
            InvalidInput: there is no reason, or too long a one.
        """
        name, why = self._rooms.project.model(model).name, " ".join(reason.split())
        if not why or len(why) > LONGEST:
            msg = f"A request needs a reason of 1 to {LONGEST} characters; this one has {len(why)}."
            raise InvalidInput(msg, field="reason")
        with self._rooms.ledger.write() as connection:
            for there in _waiting(connection, name):
                if (there.actor, there.reason) == (actor, why):
                    return there
            asked = Request(id=new_id("req"), model=name, at=self._rooms.clock.now(), actor=actor, reason=why)
            row = {"id": asked.id, "model": name, "at": t.micros(asked.at), "run": ""}
            connection.execute(insert(t.requests).values(**row, body=to_json(asked)))
        return asked

    def waiting(self, model: str | None = None) -> Sequence[Request]:
        """Return what nothing was done about yet, of a model or of all, oldest first."""
        with self._rooms.ledger.read() as connection:
            return _waiting(connection, model)

    def list(self, model: str | None = None, *, limit: int = 100) -> Sequence[Request]:
        """Return what was ever asked for, newest first."""
        wanted = select(t.requests.c.body).order_by(t.requests.c.id.desc()).limit(limit)
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


def _waiting(connection: Connection, model: str | None) -> list[Request]:
    wanted = select(t.requests.c.body).where(t.requests.c.run == "").order_by(t.requests.c.id)
    if model is not None:
        wanted = wanted.where(t.requests.c.model == model)
    return [from_json(body, Request) for body in connection.execute(wanted).scalars()]
