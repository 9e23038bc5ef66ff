"""Requests that wait at the same time for one version run together, in one call of the model; nobody waits for others.

Where other requests are being read, one lets the event loop turn once, so that all whose bytes have arrived join it; then
the first of them calls the model for all. While a model works, new requests gather by themselves: the busier the server, the more run together. A
model that takes long is called in threads, and those who come meanwhile are the next call.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from functools import partial

from treadle.core.clock import monotonic, working_time
from treadle.core.errors import TreadleError
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Dataplane, Prepared
from treadle.serving.fetching import Fetching
from treadle.serving.runtime import Ready, lasting
from treadle.serving.wanted import Open

#: Most rows of one call.
MOST_ROWS = 256
#: Seconds of a call from which on a model is called in threads, so that it holds up nobody.
SLOW = 0.005
#: How much of what is known of a model's speed its last call changes.
_WEIGHT = 0.2


_Called = tuple[Sequence[Answer | Exception], float]


class _Slot:
    """A request that waits."""

    __slots__ = ("answer", "future", "prepared")

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.answer: Answer | Exception | None = None
        self.future: asyncio.Future[None] | None = None


class _Line:
    """The requests that wait for one version."""

    __slots__ = ("gone", "running", "seconds", "slots")

    def __init__(self, ready: Ready, gone: Callable[[object], None]) -> None:
        # Not held: a version that no revision uses any more is to be forgotten, and its line with it.
        self.gone = weakref.ref(ready, gone)
        self.slots: list[_Slot] = []
        #: Calls in threads.
        self.running = 0
        #: Seconds of a call, lately.
        self.seconds = ready.seconds


class _Turn:
    """Awaited, it lets everything that is due in the event loop run once."""

    def __await__(self) -> Generator[None]:
        yield


_TURN = _Turn()


class Together:
    """Runs prepared requests of one event loop."""

    def __init__(self, plane: Dataplane, pool: Executor, *, threads: int) -> None:
        """Prepare it; models that take long are called in `pool`, up to `threads` at once."""
        self._plane, self._pool, self._threads = plane, pool, threads
        self._lines: dict[int, _Line] = {}
        self._fetching = Fetching()
        #: Calls of models, and requests that were answered by them; and requests that were given up before.
        self.calls = self.requests = self.abandoned = 0
        #: Requests whose bytes are being read: they may join those that wait.
        self.reading = 0
        #: Connections over which requests come: with several, others may have come in this very turn of the loop.
        self.company = 0

    async def fill(self, prepared: Prepared) -> Prepared:
        """Read and compute the features that a request wants; requests that are given theirs at the same time run together then.

        Raises:
            InvalidInput: there is none where the model needs one.
            StoreUnavailable: the store does not answer, and its policy is `error`.
            FeatureFailed, Overloaded: one cannot be computed, or not in time, and the policy is `error`.
        """
        self.reading += 1
        try:
            while isinstance(prepared.batch, Open) and prepared.batch.is_open:
                try:
                    found = await prepared.batch.wanted.arrive(self._fetching)
                except TreadleError as error:
                    prepared = self._plane.unfilled(prepared, error)
                    continue
                prepared = self._plane.fill(prepared, found)
        finally:
            self.reading -= 1
        return prepared

    def close(self) -> None:
        """End the threads, when what they do is done."""
        self._pool.shutdown(wait=False)
        self._fetching.close()

    async def run(self, prepared: Prepared) -> Answer:
        """Call the model for a request, together with those that wait beside it.

        Raises:
            InvalidInput: a value does not fit its tensor.
            ModelFailed: the model raised, or its answer is not one finite number for each row.
        """
        line = self._line(prepared.ready)
        slot = _Slot(prepared)
        line.slots.append(slot)
        try:
            if line.seconds > SLOW:
                slot.future = asyncio.get_running_loop().create_future()
                self._start_all(line)
            else:
                if self.reading or self.company > 1 or len(line.slots) > 1:
                    await _TURN
                while slot.answer is None and slot.future is None:
                    self._run_inline(line)
            if slot.future is not None:
                await slot.future
        except asyncio.CancelledError:
            self._leave(line, slot)
            raise
        answer = slot.answer
        assert answer is not None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _leave(self, line: _Line, slot: _Slot) -> None:
        """Take one who has gone off the line, so that what it asked for is not kept while a model works or hangs."""
        if slot in line.slots:
            line.slots.remove(slot)
            self.abandoned += 1

    def _line(self, ready: Ready) -> _Line:
        line = self._lines.get(id(ready))
        if line is None:
            key, lines = id(ready), self._lines
            line = lines[key] = _Line(ready, partial(_forget, lines, key))
        return line

    def _run_inline(self, line: _Line) -> None:
        slots = self._next(line)
        answers, took = self._call([slot.prepared for slot in slots])
        self._settle(line, slots, answers, took)

    def _start_all(self, line: _Line) -> None:
        """Start calls for those who wait, as far as threads are free; others may stand before the one who came last."""
        while line.slots and line.running < self._threads:
            self._start(line)

    def _start(self, line: _Line) -> None:
        """Call the model in a thread for those who wait now; who waits when it is done is next."""
        slots = self._next(line)
        if not slots:
            return
        loop = asyncio.get_running_loop()
        for slot in slots:
            slot.future = slot.future or loop.create_future()
        line.running += 1
        called = loop.run_in_executor(self._pool, self._call, [slot.prepared for slot in slots])
        called.add_done_callback(partial(self._finish, line, slots))

    def _finish(self, line: _Line, slots: list[_Slot], done: asyncio.Future[_Called]) -> None:
        line.running -= 1
        self._settle(line, slots, *done.result())
        self._start_all(line)

    def _call(self, several: list[Prepared]) -> _Called:
        began, worked = monotonic(), working_time()
        answers: Sequence[Answer | Exception]
        try:
            answers = self._plane.run_together(several) if several else []
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            answers = [error] * len(several)
        return answers, lasting(monotonic() - began, working_time() - worked)

    def _settle(
        self, line: _Line, slots: list[_Slot], answers: Sequence[Answer | Exception], took: float
    ) -> None:
        line.seconds += _WEIGHT * (took - line.seconds)
        self.calls += 1
        self.requests += len(slots)
        for slot, answer in zip(slots, answers, strict=True):
            slot.answer = answer
            if slot.future is not None and not slot.future.done():
                slot.future.set_result(None)

    def _next(self, line: _Line) -> list[_Slot]:
        """Take those who are next off a line, as many as run in one call."""
        taken, line.slots = _cut(line.slots)
        return taken


def _cut(slots: list[_Slot]) -> tuple[list[_Slot], list[_Slot]]:
    """Return those who run in one call, at least one, and the rest."""
    rows = 0
    for count, slot in enumerate(slots):
        rows += slot.prepared.batch.rows
        if rows > MOST_ROWS and count:
            return slots[:count], slots[count:]
    return slots, []


def _forget(lines: dict[int, _Line], key: int, _ready: object) -> None:
    lines.pop(key, None)
