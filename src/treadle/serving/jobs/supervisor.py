"""Keeps as many worker processes as waiting jobs need, between two bounds, and does what only one process has to do."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

from treadle.core.clock import monotonic
from treadle.core.errors import RunFailed, StoreUnavailable
from treadle.serving.jobs.delivery import Deliveries
from treadle.serving.jobs.upkeep import Upkeep
from treadle.store.queue.queue import Queue

_log = logging.getLogger("treadle.serving")

_LOOK, _RECONCILE, _SWEEP = 0.25, 2.0, 60.0
#: Seconds without a waiting job after which a worker above the lower bound ends.
_IDLE = 10.0
#: A worker that ends this soon has not worked; after so many in a row something is wrong with all of them.
_SOON, _FAILURES = 10.0, 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HOOKS = 0.2


class Supervisor:
    """The workers of one machine. `run` returns once it was told to stop and every worker has ended."""

    def __init__(
        self,
        queue: Queue,
        upkeep: Upkeep,
        deliveries: Deliveries,
        *,
        start: Callable[[], subprocess.Popen[bytes]],
        least: int,
        most: int,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`start` starts a worker, which ends politely on SIGTERM."""
        self._queue, self._upkeep, self._deliveries = queue, upkeep, deliveries
        self._start, self._say = start, say
        self._least, self._most = least, most
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        self._leaving: set[subprocess.Popen[bytes]] = set()
        self._stop, self._now = threading.Event(), False
        #: Workers that ended by themselves.
        self.deaths = 0
        self._failures, self._quiet_since, self._start_at = 0, monotonic(), 0.0

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def stop(self) -> None:
        """Drain: let each worker end its job; a second time, end them at once."""
        self._now = self._stop.is_set()
        self._stop.set()

    def run(self, *, until_empty: bool = False) -> None:
        """Supervise until told to stop; with `until_empty`, until no job waits or runs and no web hook is due.

        Raises:
            RunFailed: workers end as soon as they are started.
        """
        chores = threading.Thread(target=self._do_chores, name="treadle-hooks", daemon=True)
        chores.start()
        try:
            while not self._stop.is_set():
                self._reap()
                waiting = self._waiting()
                if until_empty and waiting == 0 and self._is_all_done():
                    break
                if waiting is not None:
                    self._scale(waiting)
                self._stop.wait(_LOOK)
        finally:
            self._stop.set()
            self._drain()
            chores.join(10.0)
            self._deliveries.close()

    def _waiting(self) -> int | None:
        try:
            return self._queue.state().ready
        except StoreUnavailable as error:
            _log.warning("the queue cannot be looked at: %s", error)
            return None

    def _is_all_done(self) -> bool:
        with suppress(StoreUnavailable):
            return not self._upkeep.has_open()
        return False

    def _scale(self, waiting: int) -> None:
        there = len(self._workers) - len(self._leaving)
        if waiting:
            self._quiet_since = monotonic()
        wanted = max(self._least, there)
        if waiting > there:
            wanted = min(self._most, there + 1)
        elif not waiting and there > self._least and monotonic() - self._quiet_since > _IDLE:
            self._quiet_since = monotonic()
            self._dismiss()
        if waiting and there == 0:
            wanted = max(wanted, 1)
        if there < wanted and monotonic() >= self._start_at:
            self._workers[self._start()] = monotonic()

    def _dismiss(self) -> None:
        """Ask the youngest worker to end."""
        worker = max(set(self._workers) - self._leaving, key=lambda one: self._workers[one])
        self._leaving.add(worker)
        worker.send_signal(signal.SIGTERM)

    def _reap(self) -> None:
        """Bury workers that have ended; the queue gives their jobs to others."""
        for worker, since in list(self._workers.items()):
            if worker.poll() is None:
                continue
            del self._workers[worker]
            asked = worker in self._leaving
            self._leaving.discard(worker)
            if asked or worker.returncode == 0:
                self._failures = 0
                continue
            self.deaths += 1
            self._say(
                f"A worker ended by itself ({_how(worker.returncode)}); its job is given to another one."
            )
            # Who was killed while it worked says nothing about the next one.
            early = worker.returncode > 0 and monotonic() - since < _SOON
            self._failures = self._failures + 1 if early else 0
            if self._failures >= _FAILURES:
                msg = f"{_FAILURES} workers in a row ended as soon as they were started. What they said stands above."
                raise RunFailed(msg)
            if early:
                self._start_at = monotonic() + min(_FIRST_PAUSE * 2**self._failures, _LONGEST_PAUSE)

    def _drain(self) -> None:
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            while worker.poll() is None:
                if self._now:
                    worker.kill()
                with suppress(subprocess.TimeoutExpired):
                    worker.wait(_LOOK)
        self._workers.clear()

    def _do_chores(self) -> None:
        """Call web hooks, put into the queue what it lacks, and remove what is old, until told to stop."""
        reconciled = swept = 0.0
        while True:
            taken = self._done(self._deliveries.deliver)
            if monotonic() - reconciled > _RECONCILE:
                reconciled = monotonic()
                self._done(self._upkeep.reconcile)
            if monotonic() - swept > _SWEEP:
                swept = monotonic()
                self._done(self._upkeep.sweep)
            if not taken and self._stop.wait(_HOOKS):
                return
            if self._stop.is_set():
                return

    def _done(self, chore: Callable[[], int]) -> int:
        """Do a chore; one that fails is tried again later, and the others go on."""
        try:
            return chore()
        except StoreUnavailable:
            return 0
        except Exception:  # noqa: BLE001 - whatever it is, the other chores go on
            _log.exception("jobs are not looked after as they should be")
            return 0


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
