"""Where HTTP comes in: accepts from the socket that all workers share, and looks after connections that say nothing.

HTTP/1.1 is spoken on the event loop itself (`http1`): a server in threads of its own, as Granian, hands each request over to the
loop and its answer back, which costs more than all that is done to answer it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from treadle.core.clock import monotonic
from treadle.core.settings import ServingSettings
from treadle.serving.draining import SETTLE
from treadle.serving.http1.connection import Connection
from treadle.serving.http1.heads import Heads
from treadle.serving.together import Together
from treadle.serving.web import Response

#: Seconds between looks at connections, and that the system has where it gives no more connections.
_LOOK, _REST = 0.5, 0.1
Respond = Callable[[Any, Any], Coroutine[Any, Any, Response]]


class HttpDoor:
    """The connections of one worker."""

    def __init__(self, respond: Respond, settings: ServingSettings, *, together: Together) -> None:
        """Prepare it; `together` is told how many callers there are whose requests may run together."""
        self.respond, self._settings, self._together = respond, settings, together
        self.heads: Heads
        #: Whether callers are asked to go elsewhere: each connection is closed behind its next answer.
        self.is_leaving = False
        self.loop: asyncio.AbstractEventLoop
        self._listener: socket.socket | None = None
        self._is_accepting = False
        self._connections: set[Connection] = set()
        #: Connections that are being made.
        self._making: set[asyncio.Future[Any]] = set()
        self._waiting: list[tuple[Connection, Coroutine[Any, Any, Response]]] = []

    def start(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        """Begin to accept.

        Raises:
            MissingExtra: httptools is not installed.
        """
        self.loop, self._listener, self.heads = loop, listener, Heads()
        self._accept_more()
        loop.call_later(_LOOK, self._look)

    def leave(self) -> None:
        """Ask callers to go elsewhere; whoever comes is answered nevertheless."""
        self.is_leaving = True

    def close(self) -> None:
        """Accept no more: other workers that share the socket do."""
        self._pause()
        self._listener = None

    async def finish(self) -> None:
        """Answer what has begun, within `serving.grace` seconds, and close all connections."""
        self.leave()
        self.close()
        for connection in list(self._connections):
            connection.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace):
                while self._connections or self._making:
                    await asyncio.sleep(SETTLE / 10)
        for connection in list(self._connections):
            connection.transport.abort()

    # What a connection tells its host.

    def met(self, connection: Connection) -> None:
        """Take note of a new connection; where there are as many as may be, others wait in the socket."""
        self._connections.add(connection)
        self._together.company = len(self._connections)

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that has ended."""
        self._connections.discard(connection)
        self._together.company = len(self._connections)
        self._accept_more()

    def later(self, connection: Connection, answering: Coroutine[Any, Any, Response]) -> None:
        """Go on with a request when all that is due in the event loop has run once."""
        self._waiting.append((connection, answering))
        if len(self._waiting) == 1:
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection, answering in waiting:
            connection.go_on(answering)

    # Accepting.

    def _accept_more(self) -> None:
        """Accept from now on, where connections are wanted."""
        if self._listener is not None and not self._is_accepting and self._has_room():
            self.loop.add_reader(self._listener.fileno(), self._accept)
            self._is_accepting = True

    def _has_room(self) -> bool:
        return len(self._connections) + len(self._making) < self._settings.max_connections

    def _pause(self) -> None:
        if self._listener is not None and self._is_accepting:
            self.loop.remove_reader(self._listener.fileno())
            self._is_accepting = False

    def _accept(self) -> None:
        """Accept one connection: so several workers, which are all told of it, have about as many each."""
        if self._listener is None:
            return
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was faster, or the caller has gone
        except OSError:  # no more files are to be had: those that wait are not asked for in every turn
            self._pause()
            self.loop.call_later(_REST, self._accept_more)
            return
        accepted.setblocking(False)
        making = self.loop.create_task(self.loop.connect_accepted_socket(partial(Connection, self), accepted))
        self._making.add(making)
        making.add_done_callback(self._made)
        if not self._has_room():
            self._pause()

    def _made(self, making: asyncio.Future[Any]) -> None:
        self._making.discard(making)
        if not making.cancelled():
            making.exception()  # one who went before the connection was made is missed by nobody
        self._accept_more()

    def _look(self) -> None:
        """Close connections over which nothing is asked, no request ever gets whole, or no answer is taken."""
        self.heads.renew()
        longest = monotonic() - self._settings.idle_timeout
        for connection in list(self._connections):
            if not connection.is_busy and not connection.moves() and connection.since < longest:
                if connection.transport.is_closing():  # its caller does not take what it was answered
                    connection.transport.abort()
                connection.transport.close()
        self.loop.call_later(_LOOK, self._look)
