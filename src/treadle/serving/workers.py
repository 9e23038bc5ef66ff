"""Worker processes, which accept from one socket, come back when they die, and end one after the other.

They are kept as Granian keeps its own, with two differences. It gives each worker a socket: what waits in the socket of a worker that
dies is lost. And it ends altogether when a worker dies twice within seconds. What speaks HTTP in a worker is ours (`http_door`).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mp import MPServer, WorkerProcess

from treadle.core.clock import monotonic
from treadle.core.settings import ServingSettings
from treadle.serving.draining import SETTLE
from treadle.serving.listening import BACKLOG
from treadle.serving.seats import LOOP, Board, Seat
from treadle.serving.server import Application
from treadle.serving.standin import StandIn

_log = logging.getLogger("treadle.serving")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Seconds after which a worker is taken for one that lives on.
_STEADY = 5.0
_LOOK, _SETTLED, _AGAIN = 0.05, 0.05, 0.5
#: Seconds that a new worker may take until it has loaded its models and takes the place of the old one.
_START = 120.0


class Workers(MPServer):
    """The workers of one server."""

    def __init__(self, settings: ServingSettings, listener: socket.socket, **options: Any) -> None:
        """Prepare them; `options` are Granian's."""
        super().__init__("treadle", **options)
        self._settings, self._listener = settings, listener
        self.board = Board(self.workers)
        self._stand_in = StandIn(listener, lambda: self.board.problems)
        #: Index of a worker → monotonic seconds at which it is started again.
        self._due: dict[int, float] = {}
        self._in_row = [0] * self.workers
        self._stop_signal = signal.SIGTERM

    def _init_shared_socket(self) -> None:
        self._sso = self._listener
        self._ssp = None
        self._shd = cast("Any", SocketHolder)(
            self._listener.fileno(), False, BACKLOG
        )  # its types say otherwise

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> WorkerProcess:  # type: ignore[override]  # noqa: ARG002 - Granian's own, which ours stands for
        seat = Seat(self.board, idx, self._listener)
        return super()._spawn_worker(
            idx=idx, target=_serve, callback_loader=partial(_seated, callback_loader, seat)
        )

    def signal_handler_interrupt(self, *arguments: Any, **_: Any) -> None:
        """Begin the end; a second signal ends everything at once."""
        number = arguments[0] if arguments else signal.SIGTERM
        if self.interrupt_signal:
            for worker in self.wrks:
                worker.kill()
            os._exit(128 + number)
        self._stop_signal = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        self.interrupt_signal = True
        self.main_loop_interrupt.set()

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        start = partial(self._start, spawn_target, target_loader)
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(self._pause())
            self.main_loop_interrupt.clear()
            if self._ends():
                return
            if self.reload_signal:
                self.reload_signal = False
                self._replace_all(start)
            self._look_after(start)

    def _ends(self) -> bool:
        return bool(self.interrupt_signal)

    def _pause(self) -> float | None:
        """Return for how long nothing is due; None: until something happens."""
        if self._due:
            return max(_LOOK, min(self._due.values()) - monotonic())
        return _STEADY if any(self._in_row) else None

    def _look_after(self, start: Callable[[int], WorkerProcess]) -> None:
        while self.interrupt_children:
            self._bury(self.interrupt_children.pop())
        now = monotonic()
        for index in [index for index, due in self._due.items() if due <= now]:
            self._stand_in.stop()
            del self._due[index]
            self.board.started(index)
            self.wrks[index] = start(index)
        if len(self._due) == self.workers:
            self._stand_in.start()
        for index, worker in enumerate(self.wrks):
            if self._in_row[index] and index not in self._due and now - worker.birth > _STEADY:
                self._in_row[index] = 0
                self.board.steadied(index)

    def _bury(self, index: int) -> None:
        """Note that a worker ended by itself, and when it is started again: the first time at once."""
        worker = self.wrks[index]
        if worker.is_alive():
            return
        if not self.board.ever_ready:
            cast("Any", self).shutdown(
                exit_code=1
            )  # what keeps the first one from starting keeps all of them
        lived = monotonic() - worker.birth
        times = self._in_row[index] = 1 if lived > _STEADY else self._in_row[index] + 1
        pause = 0.0 if times < LOOP else min(_FIRST_PAUSE * 2 ** (times - LOOP), _LONGEST_PAUSE)
        _log.error(
            "worker %d ended by itself (%s); it is started again in %.1f s", index + 1, _how(worker), pause
        )
        self._due[index] = monotonic() + pause
        self.board.died(index, in_row=times, waits=pause > 0)

    def _start(self, spawn_target: Any, target_loader: Any, index: int) -> WorkerProcess:
        worker = self._spawn_worker(idx=index, target=spawn_target, callback_loader=target_loader)
        worker.start()
        return worker

    def _replace_all(self, start: Callable[[int], WorkerProcess]) -> None:
        """Replace each worker: the new one takes requests before the old one goes."""
        for index in range(self.workers):
            if self.interrupt_signal or index in self._due:
                continue
            old, new = self.wrks[index], start(index)
            if not self._becomes_ready(index, new):
                _log.error("worker %d is not replaced: the new one does not become ready", index + 1)
                new.kill()
                continue
            self.wrks[index] = new
            old.interrupt_by_parent = True
            _signal(old, signal.SIGUSR1)
            if not _ended(old, monotonic() + (self.workers_kill_timeout or 0)):
                old.kill()

    def _becomes_ready(self, index: int, worker: WorkerProcess) -> bool:
        end = monotonic() + _START
        while monotonic() < end and worker.is_alive() and not self.interrupt_signal:
            if self.board.is_ready(index, worker._id()):
                return True
            worker.join(_LOOK)
        return False

    def _drop_shared_socket(self) -> None:
        self._stand_in.stop()  # the socket itself is closed when the workers have ended

    def _stop_workers(self) -> None:
        alive = [worker for worker in self.wrks if worker.is_alive()]
        for worker in alive:
            worker.interrupt_by_parent = True
            _signal(worker, self._stop_signal)
        end = monotonic() + (self.workers_kill_timeout or 0)
        if self._stop_signal == signal.SIGTERM and alive:
            time.sleep(self._settings.drain_wait + SETTLE)
        self._listener.close()
        late = [worker for worker in alive if not self._ends_by(worker, end)]
        for worker in late:
            _log.warning(
                "worker %d did not end within %.0f s and is killed", worker.idx + 1, self._settings.grace
            )
            worker.kill()
            worker.join()
        self.wrks.clear()
        self.interrupt_children = [worker.idx for worker in late]

    def _ends_by(self, worker: WorkerProcess, end: float) -> bool:
        """Wait until a worker has ended, telling it again: one that has just begun does not hear the first time."""
        while monotonic() < end:
            if _ended(worker, min(monotonic() + _AGAIN, end)):
                return True
            _signal(worker, self._stop_signal)
        return _ended(worker, end)


@WorkerProcess.wrap_target  # type: ignore[untyped-decorator]
def _serve(
    number: int,  # noqa: ARG001 - what Granian hands over
    application: Application,
    socket: Any,  # noqa: ARG001
    ipc: Any,  # noqa: ARG001
    loop: Any,
    *_options: Any,
) -> None:
    """Answer requests until the worker is told to end."""
    application.run(loop)


def _signal(worker: WorkerProcess, number: int) -> None:
    """Send a worker a signal; one that has ended meanwhile needs none."""
    with suppress(ProcessLookupError):
        os.kill(worker._id(), number)


def _ended(worker: WorkerProcess, end: float) -> bool:
    """Wait until a worker has ended or a moment is there; say whether it has.

    Granian's own thread waits for the same process, and only one of the two learns at once that it has ended.
    """
    worker.join(max(end - monotonic(), 0.001))
    settled = monotonic() + _SETTLED
    while worker.is_alive() and monotonic() < settled:
        time.sleep(0.002)
    return not worker.is_alive()


def _how(worker: WorkerProcess) -> str:
    code = worker.inner.exitcode
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _seated(factory: Callable[[], Application], seat: Seat) -> Application:
    """Return a worker's application, in its process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until it takes requests there is nothing to drain
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    application = factory()
    application.take(seat)
    return application
