"""Reads features that requests want from a store on another machine, in threads: the event loop waits for nobody.

Requests that wait at the same time for the same views are read for together. One whose time is over is answered without
its features, as the store's policy says. Once reads have failed in a row nobody waits any more: one read at a
time, for which no request waits, finds out whether the store is back.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from treadle.core.clock import monotonic
from treadle.core.errors import StoreUnavailable, TreadleError
from treadle.serving.wanted import Found, ViewsGone, Wanted

#: Reads in a row that fail before nobody waits any more.
FAILURES = 3
#: Seconds between reads that find out whether the store is back.
PAUSE = 0.2
#: Threads; a second one is used when the first has been waiting for so many seconds.
THREADS, LATE = 2, 0.005
#: Most rows that are read for together.
MOST_ROWS = 512

_Waiting = tuple[Wanted, "asyncio.Future[Found] | None"]


class _Part:
    """A request's share of what was read for several."""

    __slots__ = ("_begin", "_end", "_found")

    def __init__(self, found: Found, begin: int, end: int) -> None:
        self._found, self._begin, self._end = found, begin, end

    @property
    def schema(self) -> Any:
        """The features, in order."""
        return self._found.schema

    @property
    def rows(self) -> list[list[Any]]:
        """The values of each row."""
        return self._found.rows[self._begin : self._end]

    @property
    def at(self) -> Any:
        """The moment as of which they hold."""
        return self._found.at

    @property
    def problem(self) -> str:
        """Why the store gave nothing."""
        return self._found.problem

    def lacking(self) -> list[dict[str, str]]:
        """Return of each row which views had no value for it."""
        return self._found.lacking()[self._begin : self._end]


class Fetching:
    """Reads for the requests of one event loop."""

    def __init__(self) -> None:
        """Prepare it; threads begin with the first request that needs them."""
        self._waiting: deque[_Waiting] = deque()
        self._jobs: SimpleQueue[tuple[asyncio.AbstractEventLoop, list[_Waiting]] | None] = SimpleQueue()
        self._threads = self._running = 0
        self._began = self._asked_again = 0.0
        self._failures = 0
        self._is_probing = False
        #: Why nobody waits any more; None: requests wait for what they want.
        self.problem: StoreUnavailable | None = None
        #: Requests that were answered without what they wanted.
        self.given_up = 0

    async def read(self, wanted: Wanted) -> Found:
        """Return what the store has for a request, or what its policy says instead.

        Raises:
            InvalidInput: an entity is not of its type.
            StoreUnavailable: the store does not answer, and its policy is `error`.
        """
        loop = asyncio.get_running_loop()
        if self.problem is not None:
            self._probe(loop, wanted)
            return self._without(wanted, self.problem)
        done: asyncio.Future[Found] = loop.create_future()
        self._waiting.append((wanted, done))
        self._start(loop)
        timer = loop.call_later(wanted.online.patience, self._overdue, loop, done, wanted)
        try:
            return await done
        except _Overdue as error:
            return self._without(wanted, StoreUnavailable(str(error)))
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the threads, as soon as they wait for nothing."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0

    def _without(self, wanted: Wanted, error: StoreUnavailable) -> Found:
        self.given_up += 1
        return wanted.without(error)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a read, unless one has just begun: who waits when it ends is next."""
        if self._running and (self._running == THREADS or monotonic() - self._began < LATE):
            return
        if jobs := self._next():
            self._run(loop, jobs)

    def _next(self) -> list[_Waiting]:
        """Take those who are next, as many as are read for together; who has gone is left out."""
        taken: list[_Waiting] = []
        rows = 0
        while self._waiting:
            wanted, done = self._waiting[0]
            if done is not None and done.done():
                self._waiting.popleft()
                continue
            rows += wanted.rows
            if taken and (rows > MOST_ROWS or not _is_alike(wanted, taken[0][0])):
                break
            taken.append(self._waiting.popleft())
        return taken

    def _run(self, loop: asyncio.AbstractEventLoop, jobs: list[_Waiting]) -> None:
        self._running += 1
        self._began = monotonic()
        if self._threads < min(self._running, THREADS):
            self._threads += 1
            threading.Thread(target=self._work, name="treadle-features", daemon=True).start()
        self._jobs.put((loop, jobs))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, jobs = job
            found = _read([wanted for wanted, _ in jobs])
            try:
                loop.call_soon_threadsafe(self._finish, loop, jobs, found)
            except RuntimeError:  # the loop was closed, so nobody waits any more
                return
            del job, jobs, found

    def _finish(
        self, loop: asyncio.AbstractEventLoop, jobs: list[_Waiting], found: Sequence[Found | Exception]
    ) -> None:
        self._running -= 1
        self._judge(found[0], in_time=monotonic() - self._began < jobs[0][0].online.patience)
        for (_, done), one in zip(jobs, found, strict=True):
            if done is None:
                self._is_probing = False
            elif done.done():
                continue
            elif isinstance(one, Exception):
                done.set_exception(one)
            else:
                done.set_result(one)
        self._release()
        self._start(loop)

    def _judge(self, found: Found | Exception, *, in_time: bool) -> None:
        """Learn from a read whether the store answers; one for views that are gone says nothing of it."""
        if isinstance(found, ViewsGone):
            return
        if isinstance(found, StoreUnavailable):
            self._failed(found)
        elif not isinstance(found, Exception) and found.problem:
            self._failed(StoreUnavailable(found.problem))
        elif in_time:
            self._failures, self.problem = 0, None

    def _failed(self, error: StoreUnavailable) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self.problem = error

    def _release(self) -> None:
        """Let those go who wait while nobody has to any more."""
        while self.problem is not None and self._waiting:
            _, done = self._waiting.popleft()
            if done is not None and not done.done():
                done.set_exception(_Overdue(str(self.problem)))

    def _overdue(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[Found], wanted: Wanted) -> None:
        # What has come in the meantime is looked at first: the loop itself may have been late.
        loop.call_soon(self._give_up, done, wanted)

    def _give_up(self, done: asyncio.Future[Found], wanted: Wanted) -> None:
        if not done.done():
            msg = f"The online store did not answer within {wanted.online.patience:g} s. See to it, and to online.timeout."
            done.set_exception(_Overdue(msg))
            self._failed(StoreUnavailable(msg))
            self._release()

    def _probe(self, loop: asyncio.AbstractEventLoop, wanted: Wanted) -> None:
        """Ask again now and then, by a read that nobody waits for."""
        now = monotonic()
        if not self._is_probing and self._running < THREADS and now - self._asked_again > PAUSE:
            self._asked_again, self._is_probing = now, True
            self._run(loop, [(wanted, None)])


class _Overdue(Exception):
    """The time of a request that waits for its features is over."""


def _is_alike(one: Wanted, other: Wanted) -> bool:
    return (
        one.views == other.views
        and one.online is other.online
        and one.entities.keys() == other.entities.keys()
    )


def _read(several: list[Wanted]) -> Sequence[Found | Exception]:
    """Read for several requests at once; return what became of each."""
    first = several[0]
    if len(several) == 1:
        return [_one(first)]
    entities = {name: [value for one in several for value in one.entities[name]] for name in first.entities}
    try:
        found = Wanted(first.online, first.views, entities, first.missed).read()
    except StoreUnavailable as error:
        return [error] * len(several)
    except TreadleError:  # what one of them asks for is not to be had: the others get theirs
        return [_one(one) for one in several]
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
        return [error] * len(several)
    parts: list[Found] = []
    begin = 0
    for one in several:
        parts.append(_Part(found, begin, begin + one.rows))
        begin += one.rows
    return parts


def _one(wanted: Wanted) -> Found | Exception:
    try:
        return wanted.read()
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
        return error
