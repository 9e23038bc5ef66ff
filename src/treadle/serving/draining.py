"""How a worker ends so that no request fails: it says that it will, lets callers go elsewhere, and then stops.

SIGTERM: it goes on taking requests for `serving.drain_wait` seconds, answers `/readyz` with 503, and closes each connection
behind its answer. SIGUSR1, when another worker has taken its place: the same, but it accepts no more connections. Then, and on
SIGINT at once, the server answers what has begun and ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from treadle.serving.listening import let_nobody_in

#: Seconds for connections that were made last to be accepted, and then for their requests to be read.
SETTLE = 0.2
#: Seconds that callers of a worker that is replaced have to send one more request, which tells them to connect again.
MOVE = 1.0
_PDEATHSIG = 1


class Door(Protocol):
    """Where requests come in that do not come over HTTP/1."""

    def leave(self) -> None:
        """Ask callers to go elsewhere."""
        ...

    def close(self) -> object:
        """Let nobody new in, and answer what has begun."""
        ...


class Draining:
    """The end of one worker."""

    def __init__(self, *, wait: float) -> None:
        """Prepare it; `wait` is for how many seconds requests are taken after it has begun."""
        self._wait = wait
        self._listener: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Whether it has begun.
        self.on = False
        #: Where requests come in besides.
        self.doors: list[Door] = []

    def install(self, loop: asyncio.AbstractEventLoop, listener: int | None) -> None:
        """Listen to the signals; `listener` is the descriptor of a socket that is shared with other workers."""
        self._loop, self._listener = loop, listener
        loop.add_signal_handler(signal.SIGTERM, self.leave)
        loop.add_signal_handler(signal.SIGUSR1, self.move)

    def leave(self) -> None:
        """Begin the end of the whole server: requests are taken for some time yet."""
        if self._begin():
            assert self._loop is not None
            self._loop.call_later(self._wait, self._close)

    def move(self) -> None:
        """Begin the end of this worker, whose place another has taken."""
        if self._begin():
            assert self._loop is not None
            stop_accepting(self._listener)
            self._tell()
            self._loop.call_later(max(self._wait, MOVE), _stop)

    def _begin(self) -> bool:
        if self.on:
            return False
        self.on = True
        for door in self.doors:
            door.leave()
        return True

    def _close(self) -> None:
        assert self._loop is not None
        if self._listener is not None:
            let_nobody_in(self._listener)
        self._tell()
        self._loop.call_later(SETTLE, self._end)

    def _tell(self) -> None:
        for door in self.doors:
            door.close()

    def _end(self) -> None:
        assert self._loop is not None
        stop_accepting(self._listener)
        self._loop.call_later(SETTLE, _stop)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def stop_accepting(listener: int | None) -> None:
    """Put a socket that nobody can reach in the place of the one that this process accepts from.

    The HTTP server can only stop accepting and close what it has accepted in one step, and a connection whose
    request has not been read yet would be lost.
    """
    folder = Path("/proc/self/fd")
    if listener is None or not folder.exists():
        return
    wanted = os.fstat(listener).st_ino
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind("")
        nobody.listen(1)
        nobody.setblocking(False)
        for name in os.listdir(folder):  # noqa: PTH208 - names are what is wanted
            with suppress(OSError):
                if os.fstat(int(name)).st_ino == wanted:
                    os.dup2(nobody.fileno(), int(name), inheritable=False)


def end_with_parent() -> None:
    """Ask the kernel to end this worker politely when the process that started it dies."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
