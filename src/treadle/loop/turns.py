"""The right to turn a model's loop: one process a model, and no more at once than there is room for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from treadle.core.errors import Busy, NoRoom
from treadle.core.records import Decision
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.store.ledger.leases import Lease

_HOLDER = "treadle run"


@dataclass(frozen=True)
class Due:
    """What was decided about a model, and what becomes true with the run that it starts."""

    decision: Decision
    #: Whether it is trained although nothing is new.
    force: bool
    #: Writes what is to be kept with the run, in the transaction that starts it.
    also: Callable[[Connection], None]


def lease(model: Model, rooms: Rooms) -> AbstractContextManager[Lease]:
    """Hold the lease of a model's turns until the end of the block.

    Raises:
        Busy: another process turns the loop of this model now.
    """
    return rooms.ledger.lease(f"model/{model.name}", holder=_HOLDER, ttl=rooms.lease, clock=rooms.clock)


@contextmanager
def slot(rooms: Rooms) -> Iterator[None]:
    """Hold one of the places for turns, where there are only so many over all models and watchers.

    Raises:
        NoRoom: all of them are taken.
    """
    with ExitStack() as stack:
        if rooms.concurrency:
            stack.enter_context(_free(rooms))
        yield


@contextmanager
def _free(rooms: Rooms) -> Iterator[None]:
    for number in range(1, rooms.concurrency + 1):
        held = rooms.ledger.lease(f"turns/{number}", holder=_HOLDER, ttl=rooms.lease, clock=rooms.clock)
        with ExitStack() as stack:
            try:
                stack.enter_context(held)
            except Busy:
                continue
            yield
            return
    msg = f"{rooms.concurrency} turns are under way, as many as loop.concurrency allows; it is this one's turn when one has ended."
    raise NoRoom(msg)
