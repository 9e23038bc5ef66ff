"""Saved training states: immutable objects, made visible by one row each, so a half-written one is never seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from treadle.core.clock import Clock
from treadle.core.errors import DigestMismatch, InvalidInput, LeaseLost, NotFound
from treadle.core.records import Run, from_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects

#: What a training saves: names to bytes, numbers and texts.
State = dict[str, bytes | int | float | str]
#: Checkpoints of a run that are kept; the one before the newest is there in case that is damaged on the disk.
KEPT = 2


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """An object's content. Owner and number make it unlike any other object, so it can be deleted safely."""

    owner: str
    number: int
    state: dict[str, Any]


class Checkpoints:
    """Saved states of what is under way: of a run, or of one of its trials (`run/number`)."""

    def __init__(self, ledger: Ledger, objects: Objects, clock: Clock) -> None:
        self._ledger, self._objects, self._clock = ledger, objects, clock

    def save(self, owner: str, state: State, *, check: Callable[[Connection], object]) -> int:
        """Save a state and return its number; older ones than the last two are deleted.

        `check` makes sure, in the transaction, that the owner is still this process's.

        Raises:
            InvalidInput: a value is neither bytes, number nor text.
            LeaseLost: the owner was ended, or somebody else goes on with it; nothing is saved.
        """
        checked = {name: _checked(name, value) for name, value in state.items()}
        number = max(self._numbers(owner), default=0) + 1
        digest = self._objects.put(msgspec.msgpack.encode(_Saved(owner, number, checked)))
        with self._ledger.write() as connection:
            check(connection)
            connection.execute(
                insert(t.checkpoints).values(
                    run=owner, number=number, digest=digest, at=t.micros(self._clock.now())
                )
            )
            old = self._take(
                connection, (t.checkpoints.c.run == owner) & (t.checkpoints.c.number <= number - KEPT)
            )
        self._delete(old)
        return number

    def latest(self, owner: str) -> State | None:
        """Return the newest state that can be read whole, or None.

        Raises:
            DigestMismatch: each that is kept is damaged on the disk.
        """
        damage: DigestMismatch | NotFound | None = None
        for _, digest in sorted(self._numbers(owner).items(), reverse=True):
            try:
                return msgspec.msgpack.decode(self._objects.get(digest), type=_Saved).state
            except (DigestMismatch, NotFound) as error:
                damage = error
        if damage is not None:
            raise damage
        return None

    def count(self, run: str) -> int:
        """Return how many states a run and its trials have saved, those that were deleted since included."""
        newest = select(func.max(t.checkpoints.c.number)).where(_owned(run)).group_by(t.checkpoints.c.run)
        with self._ledger.read() as connection:
            return sum(connection.execute(newest).scalars())

    def drop(self, run: str) -> None:
        """Delete all states of a run that has ended, and of its trials."""
        owned = _owned(run)
        with self._ledger.read() as connection:
            there = connection.execute(select(t.checkpoints.c.number).where(owned).limit(1)).first()
        if there is None:
            return
        with self._ledger.write() as connection:
            old = self._take(connection, owned)
        self._delete(old)

    def _numbers(self, owner: str) -> dict[int, str]:
        wanted = select(t.checkpoints.c.number, t.checkpoints.c.digest).where(t.checkpoints.c.run == owner)
        with self._ledger.read() as connection:
            return {row.number: row.digest for row in connection.execute(wanted)}

    def _take(self, connection: Connection, chosen: ColumnElement[bool]) -> list[str]:
        found = list(connection.execute(select(t.checkpoints.c.digest).where(chosen)).scalars())
        connection.execute(delete(t.checkpoints).where(chosen))
        return found

    def _delete(self, digests: list[str]) -> None:
        for digest in digests:
            self._objects.delete(digest)


def finished_trials(ledger: Ledger, run: str) -> int:
    """Return how many trials of a run's search have ended."""
    ended = t.trials.c.state.in_(("succeeded", "pruned", "failed"))
    wanted = select(func.count()).select_from(t.trials).where((t.trials.c.run == run) & ended)
    with ledger.read() as connection:
        return connection.execute(wanted).scalar_one()


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


def _owned(run: str) -> ColumnElement[bool]:
    """Return the condition for the states of a run and of its trials."""
    owner = t.checkpoints.c.run
    return (owner == run) | owner.startswith(f"{run}/", autoescape=True)
