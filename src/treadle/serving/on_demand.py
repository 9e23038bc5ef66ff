"""On-demand features of requests, computed by the project's own code: in threads of their own, in bounded time, counted.

That code may raise, hang or be slow on some row. It never runs where the event loop does; what it takes too long for is
answered without it; and as long as calls hang, nobody waits for more of them. Requests that wait at the same
time for the same features are computed together, and by themselves where that fails.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NamedTuple

import msgspec

from treadle.core.clock import monotonic, working_time
from treadle.core.errors import (
    FeatureFailed,
    InvalidInput,
    Overloaded,
    StoreUnavailable,
    TreadleError,
)
from treadle.core.signature import Computed

#: Threads of one version; while all of them are late, nobody waits.
THREADS = 2
#: Most rows that are computed together.
MOST_ROWS = 512
_IDLE = 10.0

#: Columns of plain values → the columns that a feature gives.
Compute = Callable[[Mapping[str, Sequence[Any]]], dict[str, list[Any]]]


class OnDemand(NamedTuple):
    """How on-demand features are computed."""

    #: Finds the code of a model's feature; raises where the project does not have it as training had it.
    compute: Callable[[str, Computed], Compute]
    #: Seconds that a request waits.
    timeout: float
    on_failure: Literal["error", "null"]


class NotComputable(StoreUnavailable):
    """The project does not have an on-demand feature as a version in use was trained with it."""


class Made(msgspec.Struct):
    """What became of some rows."""

    #: Column → values; None where the computation failed.
    columns: dict[str, list[Any]]
    #: Row → the feature that failed there, and how.
    failed: dict[int, tuple[str, TreadleError]]


class Task(msgspec.Struct):
    """Rows of a request that want the same features."""

    #: Places of the features in their version, in order.
    steps: tuple[int, ...]
    #: Places of the rows in the request.
    rows: list[int]
    values: dict[str, list[Any]]
    done: Future[Made]
    #: The thread that computes it.
    thread: int = 0


class Line:
    """The on-demand features of one version in this process, and those who wait for them."""

    def __init__(self, model: str, computed: Sequence[Computed], how: OnDemand) -> None:
        """Find the code; where it is not to be had, whoever wants it is told why."""
        self.features = tuple(computed)
        self.timeout, self.on_failure = how.timeout, how.on_failure
        self._steps = [_found(how, model, one) for one in self.features]
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()
        self._threads = self._idle = 0
        #: Threads whose call somebody has stopped waiting for.
        self._hanging: set[int] = set()
        #: Rows that were computed, those that failed, requests that were late, and seconds of the processor.
        self.rows = self.failures = self.late = 0
        self.seconds = 0.0
        self._warm()

    def add(self, tasks: Sequence[Task]) -> None:
        """Let a request wait.

        Raises:
            Overloaded: all threads hang.
        """
        with self._changed:
            if len(self._hanging) >= THREADS:
                self.late += 1
                msg = f"{self.named(range(len(self.features)))} hang: {THREADS} calls have been running for over {self.timeout:g} s."
                raise Overloaded(msg)
            self._waiting.extend(tasks)
            if self._idle:
                self._changed.notify()
            elif self._threads < THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="treadle-on-demand", daemon=True).start()

    def named(self, steps: Sequence[int]) -> str:
        """Return some of its features in words."""
        names = ", ".join(repr(self.features[step].feature) for step in steps)
        return f"On-demand feature{'s' if len(steps) > 1 else ''} {names}"

    @property
    def hanging(self) -> int:
        """How many calls take longer than a request waits."""
        return len(self._hanging)

    def give_up(self, tasks: Sequence[Task]) -> None:
        """Stop waiting for tasks: those that have not begun never will."""
        with self._changed:
            self.late += 1
            for task in tasks:
                if not task.done.cancel() and not task.done.done():
                    self._hanging.add(task.thread)

    def _work(self) -> None:
        me = threading.get_ident()
        while tasks := self._next(me):
            worked = working_time()
            made = self._all(tasks)
            with self._changed:
                self._hanging.discard(me)
                self.seconds += working_time() - worked
                self.rows += sum(len(task.rows) for task in tasks)
                self.failures += sum(len(one.failed) for one in made)
                for task, one in zip(tasks, made, strict=True):
                    task.done.set_result(one)

    def _next(self, me: int) -> list[Task]:
        """Wait for tasks and take as many as are computed together; none came: the thread ends."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: bool(self._waiting), timeout=_IDLE)
            self._idle -= 1
            taken: list[Task] = []
            rows = 0
            while self._waiting:
                first = self._waiting[0]
                if taken and (first.steps != taken[0].steps or rows + len(first.rows) > MOST_ROWS):
                    break
                self._waiting.popleft()
                if first.done.set_running_or_notify_cancel():
                    first.thread = me
                    taken.append(first)
                    rows += len(first.rows)
            if not taken:
                self._threads -= 1
            return taken

    def _all(self, tasks: list[Task]) -> list[Made]:
        """Compute tasks together, and each by itself where that fails."""
        if len(tasks) > 1:
            names = tasks[0].values
            joined = {name: [v for task in tasks for v in task.values[name]] for name in names}
            made = self._made(tasks[0].steps, joined, rows=0)
            if not made.failed:
                return _parted(made, [len(task.rows) for task in tasks])
        return [self._made(task.steps, task.values, rows=len(task.rows)) for task in tasks]

    def _made(self, steps: Sequence[int], values: dict[str, list[Any]], *, rows: int) -> Made:
        """Compute features one after the other; `rows`: so many are tried one by one where they fail together."""
        known, made = dict(values), Made({}, {})
        for step in steps:
            given, failed = self._step(step, known, rows=rows)
            known |= given
            made.columns |= given
            made.failed = {**failed, **made.failed}
            if failed and not rows:
                break
        return made

    def _step(
        self, step: int, values: Mapping[str, list[Any]], *, rows: int
    ) -> tuple[dict[str, list[Any]], dict[int, tuple[str, TreadleError]]]:
        compute, feature = self._steps[step], self.features[step]
        own = {field.name: values[field.name] for field in feature.inputs}
        together = _tried(compute, own)
        if not isinstance(together, TreadleError):
            return together, {}
        if rows <= 1 or isinstance(together, NotComputable):
            count = max(rows, 1)
            nothing = {field.name: [None] * count for field in feature.outputs}
            return nothing, dict.fromkeys(range(count), (feature.feature, together))
        alone = [
            _tried(compute, {name: [column[row]] for name, column in own.items()}) for row in range(rows)
        ]
        failed = {
            row: (feature.feature, one) for row, one in enumerate(alone) if isinstance(one, TreadleError)
        }
        if not failed:  # it fails for several rows and for none of them: it depends on more than its row
            return self._step_failed(feature, together, rows)
        columns = {
            field.name: [None if isinstance(one, TreadleError) else one[field.name][0] for one in alone]
            for field in feature.outputs
        }
        return columns, failed

    def _step_failed(
        self, feature: Computed, error: TreadleError, rows: int
    ) -> tuple[dict[str, list[Any]], dict[int, tuple[str, TreadleError]]]:
        nothing = {field.name: [None] * rows for field in feature.outputs}
        return nothing, dict.fromkeys(range(rows), (feature.feature, error))

    def _warm(self) -> None:
        """Compute a row of nulls, so that what the code imports is there when the first request comes."""
        for compute, feature in zip(self._steps, self.features, strict=True):
            _tried(compute, {field.name: [None] for field in feature.inputs})


class Computation:
    """What a request wants computed: waited for by a thread, or by an event loop."""

    def __init__(self, line: Line, tasks: list[Task]) -> None:
        self._line, self._tasks = line, tasks

    def read(self) -> list[tuple[Task, Made]]:
        """Compute, and wait for it; what is late is failed.

        Raises:
            Overloaded: it is late, and the policy is `error`.
        """
        end = monotonic() + self._line.timeout
        try:
            self._line.add(self._tasks)
            return [(task, task.done.result(max(0.0, end - monotonic()))) for task in self._tasks]
        except Late:
            return self._without(self._late())
        except Overloaded as error:
            return self._without(error)

    async def arrive(self, _fetching: object) -> list[tuple[Task, Made]]:
        """Compute, while the event loop does other things; see `read`. It need not be called in a task."""
        loop = asyncio.get_running_loop()
        all_done: asyncio.Future[None] = loop.create_future()
        try:
            self._line.add(self._tasks)
        except Overloaded as error:
            return self._without(error)
        tell = partial(_tell, loop, all_done, self._tasks)
        for task in self._tasks:
            task.done.add_done_callback(tell)
        timer = loop.call_later(self._line.timeout, _expire, all_done)
        try:
            await all_done
        except TimeoutError:
            return self._without(self._late())
        except asyncio.CancelledError:
            for task in self._tasks:
                task.done.cancel()
            raise
        finally:
            timer.cancel()
        return [(task, task.done.result()) for task in self._tasks]

    def _late(self) -> Overloaded:
        self._line.give_up(self._tasks)
        steps = sorted({step for task in self._tasks for step in task.steps})
        return Overloaded(
            f"{self._line.named(steps)} took over {self._line.timeout:g} s. Send the request again in a moment."
        )

    def _without(self, error: Overloaded) -> list[tuple[Task, Made]]:
        if self._line.on_failure == "error":
            raise error
        return [(task, self._nothing(task, error)) for task in self._tasks]

    def _nothing(self, task: Task, error: Overloaded) -> Made:
        features = [self._line.features[step] for step in task.steps]
        columns = {field.name: [None] * len(task.rows) for one in features for field in one.outputs}
        return Made(columns, dict.fromkeys(range(len(task.rows)), (features[0].feature, error)))


def _tell(
    loop: asyncio.AbstractEventLoop, all_done: asyncio.Future[None], tasks: Sequence[Task], _: Future[Made]
) -> None:
    """Wake an event loop when the last task is done; one that was closed waits for nobody."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, all_done, tasks)


def _settle(all_done: asyncio.Future[None], tasks: Sequence[Task]) -> None:
    if not all_done.done() and all(task.done.done() for task in tasks):
        all_done.set_result(None)


def _expire(all_done: asyncio.Future[None]) -> None:
    if not all_done.done():
        all_done.set_exception(TimeoutError())


def _found(how: OnDemand, model: str, computed: Computed) -> Compute:
    try:
        return how.compute(model, computed)
    except TreadleError as error:
        given = ", ".join(field.name for field in computed.outputs)
        gone = NotComputable(f"{given} cannot be computed: {error} Or send {given} with the request.")

        def refuse(_: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
            raise gone

        return refuse


def _tried(compute: Compute, values: Mapping[str, list[Any]]) -> dict[str, list[Any]] | TreadleError:
    """Compute, and return what came or what was raised: whatever it is, nobody may wait for ever."""
    try:
        return compute(values)
    except (InvalidInput, FeatureFailed, NotComputable) as error:
        return error
    except BaseException as error:  # noqa: BLE001 - Polars' panics are no `Exception`
        return FeatureFailed(f"{type(error).__name__}: {str(error)[:300]}")


def _parted(made: Made, sizes: Sequence[int]) -> list[Made]:
    parts, begin = [], 0
    for size in sizes:
        parts.append(Made({name: column[begin : begin + size] for name, column in made.columns.items()}, {}))
        begin += size
    return parts
