"""Saved training states: immutable objects, made visible by one row each, so a half-written one is never seen."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, LeaseLost
from treadle.core.records import Run, from_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects

#: What a training saves: names to bytes, numbers and texts.
State = dict[str, bytes | int | float | str]
#: Checkpoints of a run that are kept; the one before the newest is there in case that is damaged on the disk.
KEPT = 2


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """An object's content. Run and number make it unlike any other object, so it can be deleted safely."""

    run: str
    number: int
    state: dict[str, Any]


class Checkpoints:
    """Saved states of runs that are under way."""

    def __init__(self, ledger: Ledger, objects: Objects, clock: Clock) -> None:
        self._ledger, self._objects, self._clock = ledger, objects, clock

    def save(self, run: Run, state: State) -> int:
        """Save a state and return its number; older ones than the last two are deleted.

        Raises:
            InvalidInput: a value is neither bytes, number nor text.
            LeaseLost: the run was ended, or somebody else goes on with it; nothing is saved.
        """
        checked = {name: _checked(name, value) for name, value in state.items()}
        number = max(self._numbers(run.id), default=0) + 1
        digest = self._objects.put(msgspec.msgpack.encode(_Saved(run.id, number, checked)))
        with self._ledger.write() as connection:
            must_be_current(connection, run)
            connection.execute(
                insert(t.checkpoints).values(
                    run=run.id, number=number, digest=digest, at=t.micros(self._clock.now())
                )
            )
            old = self._take(connection, run.id, below=number - KEPT + 1)
        self._delete(old)
        return number

    def latest(self, run: str) -> State | None:
        """Return the newest state that was saved whole, or None.

        Raises:
            DigestMismatch: it is damaged on the disk.
        """
        numbers = self._numbers(run)
        if not numbers:
            return None
        return msgspec.msgpack.decode(self._objects.get(numbers[max(numbers)]), type=_Saved).state

    def drop(self, run: str) -> None:
        """Delete all states of a run that has ended."""
        if not self._numbers(run):
            return
        with self._ledger.write() as connection:
            old = self._take(connection, run, below=None)
        self._delete(old)

    def _numbers(self, run: str) -> dict[int, str]:
        wanted = select(t.checkpoints.c.number, t.checkpoints.c.digest).where(t.checkpoints.c.run == run)
        with self._ledger.read() as connection:
            return {row.number: row.digest for row in connection.execute(wanted)}

    def _take(self, connection: Connection, run: str, *, below: int | None) -> list[str]:
        chosen = t.checkpoints.c.run == run
        if below is not None:
            chosen &= t.checkpoints.c.number < below
        found = list(connection.execute(select(t.checkpoints.c.digest).where(chosen)).scalars())
        connection.execute(delete(t.checkpoints).where(chosen))
        return found

    def _delete(self, digests: list[str]) -> None:
        for digest in digests:
            self._objects.delete(digest)


def must_be_current(connection: Connection, run: Run) -> Run:
    """Return the stored record of a run under way, in a write transaction.

    Raises:
        LeaseLost: the run has ended, or somebody else goes on with it.
    """
    body = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run.id)).scalar()
    stored = from_json(body, Run) if body else None
    if stored is None or stored.status != "running" or stored.attempts != run.attempts:
        state = (
            "is not in the ledger" if stored is None else f"is {stored.status}, in attempt {stored.attempts}"
        )
        msg = f"Run {run.id} {state}; this is attempt {run.attempts}, so nothing was written."
        raise LeaseLost(msg)
    return stored


def _checked(name: str, value: Any) -> bytes | int | float | str:
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value
    if isinstance(plain, bytes | bytearray | memoryview):
        return bytes(plain)
    if isinstance(plain, int | float | str):
        return plain
    msg = (
        f"The checkpoint's {name!r} is of type {type(value).__name__}. Expected bytes, a number or a text: "
        "let the library write its state to bytes first."
    )
    raise InvalidInput(msg, field=name)
