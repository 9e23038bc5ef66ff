"""Bodies that have not come whole with their head: taken piece by piece, and never more of them than somebody reads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from treadle.core.errors import CallerGone, InvalidInput, TreadleError

if TYPE_CHECKING:
    from treadle.serving.http1.connection import Connection

#: Bytes that wait to be read, from which on the caller is given no more room.
_AHEAD = 256 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: What the parser of chunks is told before them. Of the head that came it would heed more, as an upgrade that is offered: it
#: would take the chunks for another protocol, and we the next request's beginning for what they are.
_HEAD = b"POST / HTTP/1.1\r\nhost: -\r\ntransfer-encoding: chunked\r\n\r\n"


class Body:
    """A body that is still coming: what the application is handed instead of its bytes."""

    #: It is not there in one piece.
    whole: bytes | None = None

    def __init__(self, connection: Connection, *, expects: bool) -> None:
        """Prepare it; `expects`: the caller waits for a word before it sends anything."""
        self._connection, self._expects = connection, expects
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._waiter: asyncio.Future[None] | None = None
        self._problem: TreadleError | None = None
        #: Whether all of it has come.
        self.is_over = False

    @property
    def task(self) -> asyncio.Task[object] | None:
        """What answers the request."""
        return self._connection.task

    def client_disconnect(self) -> asyncio.Future[None]:
        """Return what is done when the caller has gone."""
        return self._connection.client_disconnect()

    async def __call__(self) -> bytes:
        """Return all of it."""
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return its pieces.

        Raises:
            CallerGone: the caller went away before all of it had come.
            InvalidInput: its chunks cannot be read.
        """
        if self._expects and not self._pieces and not self.is_over:
            self._connection.transport.write(_CONTINUE)
        self._expects = False
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._held -= len(piece)
                yield piece
            if self._problem:
                raise self._problem
            if self.is_over:
                return
            self._connection.transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def feed(self, data: bytes) -> bytes:
        """Take what has come; return what lies behind its end."""
        raise NotImplementedError

    def fail(self, problem: TreadleError) -> None:
        """Note that no more of it will come."""
        if not self.is_over and self._problem is None:
            self._problem = problem
            self._wake()

    def leave(self) -> None:
        """Note that the caller has gone."""
        self.fail(CallerGone("The caller went away before all of the body had come."))

    def _add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > _AHEAD:
            self._connection.transport.pause_reading()
        self._wake()

    def _end(self) -> None:
        self.is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Sized(Body):
    """A body whose length was said."""

    def __init__(self, connection: Connection, length: int, *, expects: bool) -> None:
        """Prepare it."""
        super().__init__(connection, expects=expects)
        self._left = length

    def feed(self, data: bytes) -> bytes:
        """Take what has come; return what lies behind its end."""
        piece = data[: self._left]
        self._left -= len(piece)
        if piece:
            self._add(piece)
        if not self._left:
            self._end()
        return data[len(piece) :]


class Chunked(Body):
    """A body in chunks, which says for itself where it ends."""

    def __init__(self, connection: Connection, *, tools: Any, expects: bool) -> None:
        """Prepare it; `tools` has the parser."""
        super().__init__(connection, expects=expects)
        self._messages, self._tools = 0, tools
        self._parser = tools.HttpRequestParser(self)
        self._parser.feed_data(_HEAD)

    def feed(self, data: bytes) -> bytes:
        """Take what has come; where more lies behind its end, the connection is closed with the answer.

        The parser does not say where that begins, and a caller that does not wait for the answer may send it again.
        """
        try:
            self._parser.feed_data(data)
        except self._tools.HttpParserError as error:
            if self.is_over:
                self._connection.close_after()
            else:
                self.fail(InvalidInput(f"The chunks of the body cannot be read: {error}."))
        return b""

    def on_message_begin(self) -> None:
        """Note a message; what comes behind this one is not read."""
        self._messages += 1
        if self._messages > 1:
            self._connection.close_after()

    def on_body(self, piece: bytes) -> None:
        """Take a piece."""
        if self._messages == 1:
            self._add(piece)

    def on_message_complete(self) -> None:
        """Note the end."""
        self._end()
