"""Requests that a rollout's challenger answers: in threads of their own and with a time limit, so that it can hang alone.

Requests that wait at the same time run in one call, as those of other variants do. What the challenger does not answer,
the first variant does: a caller gets an answer, and the challenger a failure. A thread that hangs cannot be ended; when
as many hang as there are, the challenger is not asked any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from treadle.core.clock import monotonic
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Dataplane, Prepared
from treadle.serving.memory import GROWTH, grown, resident
from treadle.serving.runtime import Ready
from treadle.serving.together import MOST_ROWS

#: Seconds after which the first variant answers instead.
LIMIT = 2.0
#: Threads of one challenger; when all of them hang, it is given up.
THREADS = 2
_IDLE = 10.0
_LOOK_AT_MEMORY = 16

_Job = tuple[Prepared, Callable[[Answer | Exception], None]]
_Run = Callable[[Sequence[Prepared]], Sequence[Answer | Exception]]


class Careful:
    """Runs prepared requests of challengers for one event loop."""

    def __init__(
        self,
        plane: Dataplane,
        *,
        limit: float = LIMIT,
        growth: int = GROWTH,
        memory: Callable[[], int] = resident,
        otherwise: Callable[[Prepared], Awaitable[Answer]] | None = None,
    ) -> None:
        """Prepare it; a call over `limit` seconds is a failure, and one that grows by `growth` bytes is given up.

        `otherwise` answers a request by the first variant, without holding up the event loop; by itself it is called in it.
        """
        self._otherwise = otherwise
        self._plane, self._limit, self._growth, self._memory = plane, limit, growth, memory
        self._lanes: dict[int, _Lane] = {}

    async def run(self, prepared: Prepared) -> Answer:
        """Answer a request by its challenger, or else by the first variant.

        Raises:
            InvalidInput, ModelFailed: the first variant could not answer either.
        """
        tally = prepared.choice.tally
        assert tally is not None
        if tally.given_up:
            return await self._instead(prepared, "is not asked any more")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        lane = self._lane(prepared.ready)
        self._weigh(lane, prepared)
        lane.add(prepared, partial(_tell, loop, done))
        # Cheaper than `asyncio.wait_for`: the handle is all that a request in time costs.
        handle = loop.call_later(self._limit, _expire, done)
        try:
            return await done
        except TimeoutError:
            tally.missed()
            self._look_at(prepared, lane.stuck(longer_than=self._limit / 2))
            return await self._instead(prepared, f"took over {self._limit:g} s")
        except asyncio.CancelledError:
            # Callers that have less patience than the limit would never see one that hangs fail.
            if stuck := lane.stuck(longer_than=self._limit):
                tally.missed()
                self._look_at(prepared, stuck)
            raise
        finally:
            handle.cancel()

    async def _instead(self, prepared: Prepared, why: str) -> Answer:
        if self._otherwise is None:
            return self._plane.instead(prepared, why)
        return await self._otherwise(self._plane.other(prepared, why))

    def _look_at(self, prepared: Prepared, stuck: int) -> None:
        """Give a challenger up of whose threads none is left."""
        tally, variant = prepared.choice.tally, prepared.choice.variant
        if tally is not None and stuck >= THREADS:
            tally.given_up = f"{stuck} calls of {variant.model}/{variant.version} hang."

    def _weigh(self, lane: _Lane, prepared: Prepared) -> None:
        """Give a challenger up with which the process has grown too much; looked at now and then."""
        lane.asked += 1
        if lane.asked % _LOOK_AT_MEMORY:
            return
        lane.at_first = lane.at_first or self._memory()
        tally, variant = prepared.choice.tally, prepared.choice.variant
        if tally is not None and self._memory() - lane.at_first > self._growth:
            tally.given_up = grown(self._growth, since=f"{variant.model}/{variant.version}")

    def _lane(self, ready: Ready) -> _Lane:
        lane = self._lanes.get(id(ready))
        if lane is None:
            self._lanes = {key: kept for key, kept in self._lanes.items() if kept.busy}
            lane = self._lanes[id(ready)] = _Lane(ready, self._plane.run_together)
        return lane


class _Lane:
    """The requests that wait for one version, and the threads that call it; a thread that has nothing to do ends."""

    def __init__(self, ready: Ready, run: _Run) -> None:
        # Held, so that the identity by which this lane is found stays its own.
        self.ready, self._run = ready, run
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        #: Requests so far, and the bytes that the process had when it was first looked at.
        self.asked = self.at_first = 0
        #: By thread, when its call began.
        self._calls: dict[int, float] = {}
        self._threads = 0

    @property
    def busy(self) -> bool:
        """Whether there are threads."""
        return self._threads > 0

    def add(self, prepared: Prepared, told: Callable[[Answer | Exception], None]) -> None:
        """Let a request wait; `told` is called in a thread with what became of it."""
        with self._changed:
            self._jobs.append((prepared, told))
            if self._idle:
                self._changed.notify()
            elif self._threads < THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="treadle-challenger", daemon=True).start()

    def stuck(self, *, longer_than: float) -> int:
        """Return how many calls have been running for so many seconds."""
        with self._changed:
            return sum(monotonic() - began >= longer_than for began in self._calls.values())

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            jobs = self._next()
            if not jobs:
                return
            with self._changed:
                self._calls[me] = monotonic()
            try:
                answers = self._run([prepared for prepared, _ in jobs])
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                answers = [error] * len(jobs)
            with self._changed:
                del self._calls[me]
            for (_, told), answer in zip(jobs, answers, strict=True):
                told(answer)

    def _next(self) -> list[_Job]:
        """Wait for requests and take as many as run in one call; none came: the thread ends."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: bool(self._jobs), timeout=_IDLE)
            self._idle -= 1
            taken: list[_Job] = []
            rows = 0
            while self._jobs and (not taken or rows + self._jobs[0][0].batch.rows <= MOST_ROWS):
                taken.append(self._jobs.popleft())
                rows += taken[-1][0].batch.rows
            if not taken:
                self._threads -= 1
            return taken


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    """Hand an answer over from a thread; where the time was over before, nobody waits for it."""
    if not loop.is_closed() and not done.done():
        loop.call_soon_threadsafe(_settle, done, answer)


def _settle(done: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if done.done():
        return
    if isinstance(answer, Exception):
        done.set_exception(answer)
    else:
        done.set_result(answer)


def _expire(done: asyncio.Future[Answer]) -> None:
    if not done.done():
        done.set_exception(TimeoutError())
