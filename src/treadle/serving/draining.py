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
import sys
from typing import Protocol

from treadle.serving.listening import let_nobody_in

#: Seconds for connections that were made last to be accepted, and then for their requests to be read.
SETTLE = 0.2
#: Seconds that callers of a worker that is replaced have to send one more request, which tells them to connect again.
MOVE = 1.0
_PDEATHSIG = 1


class Door(Protocol):
    """Where requests come in."""

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
        self._over = asyncio.Event()
        #: Whether it has begun.
        self.on = False
        #: Where requests come in over the socket that is shared with other workers, and where besides.
        self.shared: Door | None = None
        self.doors: list[Door] = []

    def install(self, loop: asyncio.AbstractEventLoop, listener: int | None) -> None:
        """Listen to the signals; `listener` is the descriptor of a socket that is shared with other workers."""
        self._loop, self._listener = loop, listener
        loop.add_signal_handler(signal.SIGTERM, self.leave)
        loop.add_signal_handler(signal.SIGUSR1, self.move)
        loop.add_signal_handler(signal.SIGINT, self._stop)

    async def over(self) -> None:
        """Wait until requests are taken no more."""
        await self._over.wait()

    def leave(self) -> None:
        """Begin the end of the whole server: requests are taken for some time yet."""
        if self._begin():
            assert self._loop is not None
            self._loop.call_later(self._wait, self._close)

    def move(self) -> None:
        """Begin the end of this worker, whose place another has taken."""
        if self._begin():
            assert self._loop is not None
            self._accept_no_more()
            self._tell()
            self._loop.call_later(max(self._wait, MOVE), self._stop)

    def _begin(self) -> bool:
        if self.on:
            return False
        self.on = True
        for door in (*self.doors, *([self.shared] if self.shared else [])):
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
        """Accept no more, when what was connected before nobody was let in is accepted."""
        assert self._loop is not None
        self._accept_no_more()
        self._loop.call_later(SETTLE, self._stop)

    def _accept_no_more(self) -> None:
        if self.shared:
            self.shared.close()

    def _stop(self) -> None:
        self._over.set()


def end_with_parent() -> None:
    """Ask the kernel to end this worker politely when the process that started it dies."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
