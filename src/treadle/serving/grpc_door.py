"""Where gRPC comes in: it listens beside the HTTP server, in the same process and on the same event loop.

HTTP/2 is spoken by ourselves (`http2`), since a bare server of grpcio costs more for each call than everything that is done
to answer it, and cannot end a connection without cancelling what comes in that moment.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

from treadle.core.clock import monotonic
from treadle.core.optional import require
from treadle.core.settings import ServingSettings
from treadle.serving import grpc_wire as wire
from treadle.serving.draining import SETTLE
from treadle.serving.grpc_service import Respond, Service
from treadle.serving.grpc_wire import Asked, Refused
from treadle.serving.http2.connection import Connection
from treadle.serving.http2.streams import Headers, Stream
from treadle.serving.listening import BACKLOG, let_nobody_in, listen_for_grpc

_log = logging.getLogger("treadle.serving")

#: How much a message may be larger than the largest body over HTTP: names and shapes around the tensors.
_ROOM = 64 * 1024
#: Seconds between looks at clients that stall, and that a client has to say that it speaks HTTP/2.
_LOOK, _HELLO = 1.0, 10.0
#: Seconds after which a connection is asked to end: so callers spread over new servers.
_AGE = 300.0
#: Requests of one stream that wait to be taken; after so many the client is given no more room.
_WAITING = 16


class Door:
    """Listens for gRPC, at the address of the HTTP server and a port of its own; the host of its connections."""

    def __init__(self, respond: Respond, settings: ServingSettings) -> None:
        """Prepare it; `respond` answers a scope and a body, as over HTTP.

        Raises:
            MissingExtra: what gRPC needs is not installed.
        """
        require("hpack", extra="grpc")
        self._settings, self._limit = settings, settings.max_body + _ROOM
        self._service = Service(respond)
        self._connections: set[Connection] = set()
        #: Bytes of requests that are not whole yet.
        self._held = 0
        self._is_leaving = False
        self._listener: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._closing: asyncio.Future[None] | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._loop: Any = None

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            InvalidInput: the port is taken.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listen_for_grpc(self._settings)
        # A client is told of no more calls at once than are taken on: those beyond wait at the client, and are not refused.
        made = partial(Connection, self, most=self._settings.max_in_flight)
        self._server = await self._loop.create_server(made, sock=self._listener, backlog=BACKLOG)
        self._looking = self._loop.call_later(_LOOK, self._look)

    def leave(self) -> None:
        """Ask callers to go elsewhere (GOAWAY) with their next calls; whoever comes is answered nevertheless."""
        self._is_leaving = True
        for connection in self._connections:
            connection.leave()

    def close(self) -> asyncio.Future[None]:
        """Let nobody new in, and answer calls that have begun within `serving.grace` seconds; done when that is over."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(), loop=self._loop or asyncio.get_event_loop())
        return self._closing

    async def _close(self) -> None:
        if self._server is None or self._listener is None:
            return
        let_nobody_in(self._listener.fileno())
        self.leave()
        # Connections that were just made are accepted, and calls that are on their way come in.
        await asyncio.sleep(SETTLE)
        self._server.close()
        if self._looking:
            self._looking.cancel()
        for connection in list(self._connections):
            connection.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.grace):
                while self._connections:
                    await asyncio.sleep(SETTLE / 10)
        for connection in list(self._connections):
            connection.transport.abort()

    # What a connection tells its host.

    def met(self, connection: Connection) -> None:
        """Take note of a new connection; of too many, none."""
        if len(self._connections) >= self._settings.max_connections:
            connection.transport.abort()
            return
        self._connections.add(connection)

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that has ended."""
        self._connections.discard(connection)

    def understood(self, headers: Headers) -> Asked | None:
        """Return what the headers of a call say."""
        return wire.understood(headers)

    def begun(self, stream: Stream) -> None:
        """Refuse a call that can be refused by its headers, and begin one that is a stream of requests."""
        asked: Asked | None = stream.asked
        if asked is None:
            stream.connection.end(stream, wire.NOT_GRPC)
        elif asked.problem:
            self._refuse(stream, *asked.problem)
        elif asked.method in self._service.streams:
            stream.host = _Requests(stream, self._limit)
            stream.host.task = self._loop.create_task(self._answer_all(stream, stream.host))
        elif asked.method not in self._service.calls:
            self._refuse(stream, "UNIMPLEMENTED", f"There is no method {asked.method[:200]}.")

    def came(self, stream: Stream, data: bytes) -> None:
        """Take some of a request, and answer it when it is whole."""
        held = stream.host
        try:
            if isinstance(held, _Requests):
                held.add(data, ended=stream.ended)
            elif held is None and stream.ended:
                self._begin(stream, data)
            else:
                self._gather(stream, data)
        except Refused as error:
            self.gone(stream)
            self._refuse(stream, error.code, str(error), error.more)

    def gone(self, stream: Stream) -> None:
        """Cancel what answers a call."""
        held = stream.host
        if isinstance(held, bytearray):
            self._held -= len(held)
        elif held is not None:
            (held.task if isinstance(held, _Requests) else held).cancel()
        stream.host = None

    def _gather(self, stream: Stream, data: bytes) -> None:
        """Keep what has come of a request until the rest is there."""
        if stream.host is None:
            stream.host = bytearray()
        found: bytearray = stream.host
        found += data
        self._held += len(data)
        if len(found) >= wire.PREFIX:
            wire.check_size(int.from_bytes(found[1 : wire.PREFIX]), self._limit)
        wire.check_size(len(found) - wire.PREFIX, self._limit)
        if self._held > self._settings.max_bytes_in_flight and self._held > len(found):
            msg = (
                f"The server has {self._held:,} bytes of requests under way. Send this one again in a moment."
            )
            raise Refused("UNAVAILABLE", msg)
        if stream.ended:
            self._held -= len(found)
            stream.host = None
            self._begin(stream, bytes(found))
        else:
            stream.connection.confirm(stream)

    def _begin(self, stream: Stream, data: bytes) -> None:
        asked: Asked = stream.asked
        message = wire.message_of(data, asked.encoding, limit=self._limit)
        stream.host = self._loop.create_task(self._answer(stream, asked, message))

    async def _answer(self, stream: Stream, asked: Asked, message: bytes) -> None:
        connection = stream.connection
        try:
            answer = await self._service.calls[asked.method](message, asked, connection.peer)
        except Refused as error:
            self._refuse(stream, error.code, str(error), error.more)
        except Exception as error:  # noqa: BLE001 - nobody may wait for ever
            self._fail(stream, error)
        else:
            connection.answer(stream, wire.HEADERS, wire.framed(answer), wire.WELL)
        if self._is_leaving:
            connection.leave()

    async def _answer_all(self, stream: Stream, requests: _Requests) -> None:
        asked, connection = stream.asked, stream.connection
        connection.begin(stream, wire.HEADERS)
        code, text = "OK", ""
        try:
            async for answer in self._service.streams[asked.method](requests, asked, connection.peer):
                connection.send(stream, wire.framed(answer))
                await connection.sent(stream)
        except Refused as error:
            code, text = error.code, str(error)
        except Exception as error:  # noqa: BLE001 - nobody may wait for ever
            self._fail(stream, error, first=False)
            return
        connection.end(stream, wire.trailers(code, text, first=False))

    def _refuse(self, stream: Stream, code: str, text: str, more: Any = ()) -> None:
        stream.connection.end(stream, wire.trailers(code, text, more))

    def _fail(self, stream: Stream, error: Exception, *, first: bool = True) -> None:
        _log.error("call failed: %s", stream.asked.method, exc_info=error)
        text = f"The server failed: {type(error).__name__}. See its log."
        stream.connection.end(stream, wire.trailers("INTERNAL", text, first=first))

    def _look(self) -> None:
        """Give up clients that stall: those that say nothing, requests that do not come, and answers that are not taken."""
        now, patience = monotonic(), self._settings.body_timeout
        for connection in list(self._connections):
            age = now - connection.since
            if not connection.has_begun and age > _HELLO:
                connection.transport.abort()
            if age > _AGE:
                connection.leave()
            if age > _AGE + _HELLO:
                connection.finish()
            connection.give_up(now - self._settings.idle_timeout)
            for stream in [*connection.streams.values()]:
                is_late = not stream.ended and now - stream.since > patience
                if is_late and not isinstance(stream.host, _Requests):
                    self.gone(stream)
                    self._refuse(
                        stream, "DEADLINE_EXCEEDED", f"The request did not come within {patience:g} s."
                    )
        self._looking = self._loop.call_later(_LOOK, self._look)


class _Requests:
    """The requests of one stream, as they come."""

    def __init__(self, stream: Stream, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._waiting: asyncio.Queue[bytes | Refused | None] = asyncio.Queue()
        self._buffer = bytearray()
        #: What answers them.
        self.task: asyncio.Task[None]

    def add(self, data: bytes, *, ended: bool) -> None:
        """Take what has come; what is wrong with it is told behind the answers to what came before."""
        self._buffer += data
        try:
            for message in wire.messages(self._buffer, self._stream.asked.encoding, limit=self._limit):
                self._waiting.put_nowait(message)
        except Refused as error:
            self._waiting.put_nowait(error)
            return
        if ended:
            cut = Refused("INVALID_ARGUMENT", "The last message of the stream is not whole.")
            self._waiting.put_nowait(cut if self._buffer else None)
        elif self._waiting.qsize() < _WAITING:
            self._stream.connection.confirm(self._stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return them.

        Raises:
            Refused: what came is no message.
        """
        while (found := await self._waiting.get()) is not None:
            if isinstance(found, Refused):
                raise found
            self._stream.connection.confirm(self._stream)
            yield found
