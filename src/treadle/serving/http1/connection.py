"""One connection of HTTP/1.1: requests come one after the other, and each is answered before the next is begun.

A request that has come whole is begun at once, outside of any task: most are answered within the same turn of the event loop
or the next, and a task would cost as much as the model. One that has to wait for something goes on in a task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Generator
from functools import partial
from types import coroutine as from_generator
from typing import Any, Protocol

import msgspec

from treadle.core.clock import monotonic
from treadle.serving.http1.bodies import Body, Chunked, Sized
from treadle.serving.http1.heads import CHUNKED, LONGEST, Head, Heads, Malformed
from treadle.serving.web import USUAL, Response, refuse_plainly

_log = logging.getLogger("treadle.serving")

_END = b"\r\n\r\n"
#: Larger bodies are handed over piece by piece, so that they are counted before they are in memory.
_SMALL = 10_000
#: Bytes that are taken of the requests behind the one that is answered, and how long it is waited for a caller to close.
_AHEAD, _LINGER = 64 * 1024, 2.0
#: What is answered to one who has gone.
_GONE = 499
#: What a caller of HTTP/1.0 has to be told, or it waits for the connection to end.
KEPT = ("connection", "keep-alive")
#: Answers without a body, and that say nothing of its length.
_BARE = {204, 304}


class Scope(msgspec.Struct, frozen=True, gc=False):
    """A request as the application sees it, but for its body; made by place."""

    method: str
    path: str
    query_string: str
    headers: Any
    client: str
    scheme: str = "http"
    proto: str = "http"
    #: The path below which the application is mounted.
    root: str = ""


class Host(Protocol):
    """Where connections come in."""

    heads: Heads
    is_leaving: bool
    loop: asyncio.AbstractEventLoop

    def respond(self, scope: Any, incoming: Any) -> Coroutine[Any, Any, Response]:
        """Answer a request."""
        ...

    def met(self, connection: Connection) -> None:
        """Take note of a new connection."""
        ...

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that has ended."""
        ...

    def later(self, connection: Connection, answering: Coroutine[Any, Any, Response]) -> None:
        """Go on with a request when all that is due in the event loop has run once."""
        ...


class Connection(asyncio.Protocol):
    """A caller's connection; of a request whose body has come whole, it is what the application reads that from."""

    def __init__(self, host: Host) -> None:
        """Prepare it."""
        self._host = host
        self.transport: Any = None
        self._client = ""
        #: The body, where it has come whole.
        self.whole: bytes | None = None
        #: What answers the present request, where that takes longer than a turn of the event loop.
        self.task: asyncio.Task[Response] | None = None
        #: Since when a request is waited for; monotonic seconds.
        self.since = 0.0
        #: Whether a request is being answered.
        self.is_busy = False
        #: Bytes of answers that the caller had not taken at the last look.
        self._unsent = 0
        self._buffer = b""
        self._body: Body | None = None
        self._method, self._keeps, self._is_older = "", True, False
        self._is_taking = self._is_full = self._is_over = self._has_gone = False
        self._gone: asyncio.Future[None] | None = None

    # What the event loop tells.

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self._client = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
        self.since = monotonic()
        self._host.met(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if self._is_over:
            return
        if self._body is not None:
            data = self._body.feed(data) if not self._body.is_over else data
            if not data:
                return
        if self.is_busy or self._is_full:
            self._buffer += data
            if len(self._buffer) > _AHEAD:
                self.transport.pause_reading()
            return
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        self._take(data)

    def eof_received(self) -> bool:
        """Note that the caller sends no more; what it has asked is answered yet."""
        self._has_gone = True
        self._keeps = False
        if self._body is not None:
            self._body.leave()
        self._tell_gone()
        return self.is_busy

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the caller went, however it did
        """End."""
        self._is_over = self._has_gone = True
        self._buffer = b""
        if self._body is not None:
            self._body.leave()
        self._tell_gone()
        self._host.lost(self)

    def pause_writing(self) -> None:
        """Begin no more requests: the caller does not take their answers."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_full = False
        self._next()

    # What the application asks.

    async def __call__(self) -> bytes:
        """Return the body."""
        return self.whole or b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the body."""
        yield self.whole or b""

    def client_disconnect(self) -> asyncio.Future[None]:
        """Return what is done when the caller has gone."""
        self._gone = self._host.loop.create_future()
        if self._has_gone:
            self._gone.set_result(None)
        return self._gone

    # What the door asks.

    def go_on(self, answering: Coroutine[Any, Any, Response]) -> None:
        """Go on with a request that let others begin, and then with what came behind it."""
        self._advance(answering)
        self._next()

    def _advance(self, answering: Coroutine[Any, Any, Response]) -> None:
        """Go on with a request as far as it gets without waiting; from there on in a task."""
        try:
            waited = answering.send(None)
        except StopIteration as done:
            self._answer(done.value)
        except Exception:  # noqa: BLE001 - the server goes on, whatever one request runs into
            _log.exception("request failed: %s", self._method)
            self.transport.abort()
        else:
            if waited is None:
                self._host.later(self, answering)
            else:
                self._in_task(_going_on(answering, waited))

    def moves(self) -> bool:
        """Say whether the caller has taken some of its answers since the last look."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent == before:
            return False
        self.since = monotonic()
        return True

    def finish(self) -> None:
        """Close the connection, behind the answer to what has begun."""
        self._keeps = False
        if not self.is_busy and not self._is_over:
            self.transport.close()

    def close_after(self) -> None:
        """Close the connection behind the present answer."""
        self._keeps = False

    # Requests.

    def _next(self) -> None:
        """Take what came while the last request was answered."""
        if self._buffer and self._is_free() and not self._is_taking:
            data, self._buffer = self._buffer, b""
            self.transport.resume_reading()
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Begin the requests that have come, each when the one before is answered."""
        self._is_taking = True
        try:
            while data and self._is_free():
                self._buffer = self._begun(data)
                if self._buffer is data or not self._is_free():
                    return
                data, self._buffer = self._buffer, b""
            self._buffer = data
        except Malformed as error:
            self._refuse(error)
        finally:
            self._is_taking = False

    def _is_free(self) -> bool:
        return not (self.is_busy or self._is_full or self._is_over)

    def _begun(self, data: bytes) -> bytes:
        """Begin the first request of what has come; return what lies behind it, or all where it has not come yet.

        Raises:
            Malformed: it cannot be read.
        """
        end = data.find(_END) + len(_END)
        if data[:1] in {b"\r", b"\n"}:
            return data.lstrip(b"\r\n")
        if end < len(_END):
            if len(data) > LONGEST:
                raise Malformed(431, f"The request's head has more than {LONGEST} bytes.")
            return data
        if end > LONGEST:
            raise Malformed(431, f"The request's head has {end} bytes. At most {LONGEST} are read.")
        head = self._host.heads.understood(data[:end])
        stop = end + head.length
        self.is_busy, self._method, self._keeps, self._is_older = True, head.method, head.keeps, head.is_older
        scope = Scope(head.method, head.path, head.query_string, head.headers, self._client)
        if 0 <= head.length < _SMALL and stop <= len(data) and not head.expects:
            self.whole, self._buffer = data[end:stop], data[stop:]
            self._advance(self._host.respond(scope, self))
            return self._buffer
        return self._begun_in_parts(scope, head, data[end:])

    def _begun_in_parts(self, scope: Scope, head: Head, data: bytes) -> bytes:
        self._body = (
            Chunked(self, tools=self._host.heads.tools, expects=head.expects)
            if head.length == CHUNKED
            else Sized(self, head.length, expects=head.expects)
        )
        rest = self._body.feed(data) if data or not head.length else b""
        self._in_task(self._host.respond(scope, self._body))
        return rest

    def _in_task(self, answering: Coroutine[Any, Any, Response]) -> None:
        self.task = self._host.loop.create_task(answering)
        self.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Response]) -> None:
        self.task = None
        if task.cancelled():
            self.transport.abort()
        elif (error := task.exception()) is not None:
            _log.error("request failed: %s", self._method, exc_info=error)
            self.transport.abort()
        else:
            self._answer(task.result())
            self._next()

    # Answers.

    def _answer(self, response: Response) -> None:
        self.is_busy, self.whole = False, None
        body, self._body = self._body, None
        if self._is_over:
            return
        if self._has_gone and response.status == _GONE:
            self.transport.abort()  # nobody is there to read it
            return
        is_read = body is None or body.is_over
        closes = not (self._keeps and is_read) or self._host.is_leaving
        data = response.body
        if response.status in _BARE:
            data = b""
        headers = (*response.headers, KEPT) if self._is_older and not closes else response.headers
        try:
            head = self._host.heads.written(response.status, headers, len(data), closes=closes)
        except ValueError:  # another one's answer would not be read right behind half of this one
            _log.exception("request failed: %s", self._method)
            self.transport.abort()
            return
        self.transport.write(head if self._method == "HEAD" else head + data)
        self.since = monotonic()
        if closes:
            self._end(lingers=not is_read)
        elif body is not None:
            self.transport.resume_reading()  # it came whole, and nobody read it

    def _refuse(self, error: Malformed) -> None:
        """Say that what came is no request; nothing that follows can be read either."""
        told = refuse_plainly(str(error), None)
        self.transport.write(self._host.heads.written(error.status, USUAL, len(told), closes=True) + told)
        self._end(lingers=True)

    def _end(self, *, lingers: bool) -> None:
        """Close the connection; a caller that is still sending would not get to read the answer if that was done at once."""
        self._is_over, self._buffer = True, b""
        if not lingers or self._has_gone:
            self.transport.close()
            return
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._host.loop.call_later(_LINGER, self.transport.close)

    def _tell_gone(self) -> None:
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)


async def _going_on(answering: Coroutine[Any, Any, Response], waited: Any) -> Response:
    return await _rest(answering, waited)


@from_generator
def _rest(answering: Coroutine[Any, Any, Response], waited: Any) -> Generator[Any, Any, Response]:
    """Go on with what was begun outside of a task, in one; `waited` is what it waits for."""
    while True:
        try:
            sent = yield waited
        except BaseException as error:  # noqa: BLE001 - handed on, a cancellation above all
            step = partial(answering.throw, error)
        else:
            step = partial(answering.send, sent)
        try:
            waited = step()
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
