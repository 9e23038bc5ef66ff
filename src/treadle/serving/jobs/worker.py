"""Takes jobs from the queue and does them, one after the other, with the server's dataplane and log."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from treadle.core.clock import monotonic
from treadle.core.errors import Busy, LeaseLost, NotLoaded, StoreUnavailable, TreadleError
from treadle.serving.dataplane import Dataplane
from treadle.serving.follower import Follower
from treadle.serving.jobs import asked
from treadle.serving.jobs.asked import Reference
from treadle.serving.jobs.jobs import Jobs
from treadle.serving.jobs.record import Job
from treadle.serving.jobs.results import Result, of_answer, pack
from treadle.serving.log import PredictionLog
from treadle.store.queue.backend import Message

_log = logging.getLogger("treadle.serving")
#: Seconds that a worker waits for a job before it looks whether it should end.
_LOOK = 0.5
#: Seconds between tries while a store does not answer, and the longest wait for a revision that cannot be loaded.
_PAUSE, _PATIENCE = 0.5, 30.0

#: Scores rows of the project for a job: endpoint, reference, job's id.
Score = Callable[[str, Reference, str], Result]


class Worker:
    """One worker; `run` returns when it is told to stop, after the job that it has in hand."""

    def __init__(
        self,
        jobs: Jobs,
        plane: Dataplane,
        *,
        log: PredictionLog,
        follower: Follower,
        score: Score,
        lease: float,
        memory: int,
    ) -> None:
        """Put the parts together; `memory` is how many bytes it may have before it ends."""
        self._jobs, self._plane, self._log, self._follower = jobs, plane, log, follower
        self._score, self._lease, self._memory = score, lease, memory
        self._stop = threading.Event()

    def stop(self) -> None:
        """End after the job that is being done; may be called from a signal handler or another thread."""
        self._stop.set()

    def run(self, *, until_empty: bool = False) -> None:
        """Do jobs until told to stop; with `until_empty`, until there is none."""
        while not self._stop.is_set():
            try:
                found = self._jobs.queue.take(1, wait=0.0 if until_empty else _LOOK)
            except StoreUnavailable as error:
                _log.warning("no job can be taken: %s", error)
                self._stop.wait(_PAUSE)
                continue
            if not found and until_empty:
                return
            for message in found:
                with self._keeping(message), suppress(LeaseLost):
                    self._handle(message)
            if _resident() > self._memory:
                _log.warning("this worker ends, for it has more than %d bytes of memory", self._memory)
                return

    def _handle(self, message: Message) -> None:
        """Do one job, and acknowledge it once its result is stored; a store that is away is waited for."""
        while True:
            try:
                job = self._jobs.begin(message.id)
                if job is not None:
                    self._do(job)
                self._jobs.queue.acknowledge(message)
            except (StoreUnavailable, Busy) as error:
                _log.warning("job %s waits: %s", message.id, error)
                if self._stop.wait(_PAUSE):
                    with suppress(StoreUnavailable):
                        self._jobs.queue.release(message)
                    return
            else:
                return

    def _do(self, job: Job) -> None:
        try:
            body = self._jobs.input(job)
            reference = asked.reference_of(body)
            if reference is None:
                result = self._answer(job, body)
            else:
                result = self._score(job.endpoint, reference, job.id)
        except (StoreUnavailable, Busy):
            # Busy: the worker that had it before still works on it, as where the connection to the broker broke.
            raise
        except TreadleError as error:
            self._jobs.fail(job.id, str(error))
        except Exception as error:  # noqa: BLE001 - a model is foreign code; the worker goes on, whatever one job runs into
            _log.exception("job %s failed", job.id)
            self._jobs.fail(job.id, f"The worker failed: {type(error).__name__}. See its log.")
        else:
            self._jobs.finish(job.id, pack(result), rows=result.rows)

    def _answer(self, job: Job, body: bytes) -> Result:
        call = asked.call_of(body, name=job.id, received=monotonic())
        answer = self._plane.predict(self._loaded(job.endpoint), call)
        self._log.put(answer.entry())
        return of_answer(answer, call)

    def _loaded(self, endpoint: str) -> str:
        """Return an endpoint once it can answer; a revision that was made a moment ago is looked for."""
        end = monotonic() + _PATIENCE
        while True:
            try:
                if endpoint not in self._plane.loaded:
                    self._follower.look(force=True)
                self._plane.reader(endpoint)
            except NotLoaded:
                if monotonic() > end or self._stop.wait(_PAUSE):
                    raise
            else:
                return endpoint

    @contextmanager
    def _keeping(self, message: Message) -> Iterator[None]:
        """Extend a message's lease for the length of a block."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._extend, args=(message, ended), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _extend(self, message: Message, ended: threading.Event) -> None:
        while not ended.wait(self._lease / 3):
            # Where the lease was lost, somebody else may do it too: the one result that is stored first counts.
            with suppress(StoreUnavailable, LeaseLost):
                self._jobs.queue.extend([message])
            with suppress(StoreUnavailable):
                self._jobs.is_alive(message.id)


def _resident() -> int:
    """Return the bytes of memory that this process has."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - asked after each job
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
