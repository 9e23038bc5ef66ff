"""Ships logs in the background: as a thread of a host, or as a process of its own beside a server's workers.

It looks at the folders of logs, which costs next to nothing; Polars and delta-rs are imported when there is something to ship.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.core.clock import monotonic
from treadle.serving import spool

if TYPE_CHECKING:
    from treadle.serving.shipping import Shipper
    from treadle.store.tables.tables import Tables

_log = logging.getLogger("treadle.serving")

#: What is taken off the priority of a process that ships: answers go first, and shipping still gets its share.
_NICE = 10
#: Seconds without work after which such a process begins anew, without the libraries that it has imported.
_IDLE = 300.0
_LOOK = 10.0


class Courier:
    """A thread that ships at its start, then every `interval` seconds, and at its end; a store that is gone is tried again."""

    def __init__(self, root: Path, tables: Callable[[], Tables], *, interval: float = 2.0) -> None:
        """Prepare it for the project at `root`; `tables` is called in the thread, when there is something to ship."""
        self._root, self._open, self._interval = root, tables, interval
        self._shipper: Shipper | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._worked = monotonic()
        #: What keeps segments from being shipped; None: they are.
        self.problem: Exception | None = None

    @property
    def idle(self) -> float:
        """Seconds for which libraries have been in memory without use; 0: they are not, or are used."""
        return monotonic() - self._worked if self._shipper else 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="treadle-shipping", daemon=True)
        self._thread.start()

    def stop(self, *, timeout: float = 10.0) -> None:
        """Stop after a last round, so that a server that ends leaves nothing behind where the store answers."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout)

    def _run(self) -> None:
        ended, pause = False, 0.0
        while not ended:
            ended, pause = self._stop.wait(pause), self._interval
            try:
                if spool.something(self._root / spool.LOGS):
                    self._ship()
                self.problem = None
            except Exception as error:  # noqa: BLE001 - one segment or folder, perhaps of somebody else, ends no shipping
                if self.problem is None:
                    _log.warning("prediction log waits on this machine, as it cannot be shipped: %s", error)
                self.problem = error

    def _ship(self) -> None:
        self._worked = monotonic()
        if self._shipper is None:
            from treadle.serving.shipping import Shipper

            self._shipper = Shipper(self._root, self._open())
        self._shipper.ship_all()
        self._worked = monotonic()


def run(courier: Courier, *, idle: float = _IDLE) -> None:
    """Be the process that ships: until standard input ends, which is when the server has ended; then once more.

    Signals that end a server are sent to its whole group, or by an operator to all it has: this process has to outlive
    the workers, and leaves them to the others. Whoever ends a server kills it, or waits for it.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _let_others_first()
    courier.start()
    while not select.select([sys.stdin], [], [], min(_LOOK, idle))[0]:
        if courier.idle > idle:
            courier.stop()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program itself
    courier.stop()
    # What the store does not take in time stays on this machine; a thread that waits for it ends with the process.
    os._exit(0)


def _let_others_first() -> None:
    """Take some off the priority that the server has; where this process has begun anew, that was done before."""
    wanted = os.getpriority(os.PRIO_PROCESS, os.getppid()) + _NICE
    os.nice(max(0, wanted - os.getpriority(os.PRIO_PROCESS, 0)))
