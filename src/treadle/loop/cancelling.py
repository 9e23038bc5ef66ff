"""A run that somebody cancels while it trains: its jobs are told to end, and nothing becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from treadle.core.errors import RunCancelled, StoreUnavailable, TreadleError
from treadle.core.records import Run
from treadle.loop.rooms import Rooms

#: Seconds between looks at whether a run is still wanted.
EVERY = 1.0


@contextmanager
def cancellable(run: Run, rooms: Rooms) -> Iterator[None]:
    """Let a run train in the block, and end its jobs when somebody cancels it meanwhile.

    Raises:
        RunCancelled: somebody did.
    """
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(run, rooms, over), name="treadle-cancel", daemon=True)
    thread.start()
    try:
        yield
    except TreadleError as error:
        # What a stopped job comes to is not why the run has ended.
        cancelled = _cancelled(run, rooms)
        if cancelled is not None:
            raise cancelled from error
        raise
    finally:
        over.set()
        thread.join()
    cancelled = _cancelled(run, rooms)
    if cancelled is not None:
        raise cancelled


def is_cancelled(run: Run, rooms: Rooms) -> bool:
    """Return whether somebody has cancelled a run that is under way here."""
    return _cancelled(run, rooms) is not None


def _look(run: Run, rooms: Rooms, over: threading.Event) -> None:
    while not over.wait(EVERY):
        with suppress(StoreUnavailable):  # it may come back, and the run goes on as long
            if is_cancelled(run, rooms):
                # Again and again: a search may just have started another one.
                rooms.engine.stop(run.id)


def _cancelled(run: Run, rooms: Rooms) -> RunCancelled | None:
    stored = rooms.runs.get(run.id)
    return RunCancelled(stored.error) if stored.status == "failed" and stored.given_up else None
