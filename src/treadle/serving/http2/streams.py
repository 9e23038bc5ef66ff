"""One request and its answer in a connection, and what answers requests."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast

from treadle.core.clock import monotonic

if TYPE_CHECKING:
    from treadle.serving.http2.connection import Connection

Headers = tuple[tuple[str, str], ...]


class Stream:
    """One request and its answer."""

    __slots__ = (
        "asked",
        "connection",
        "ended",
        "host",
        "moved",
        "number",
        "pending",
        "room",
        "since",
        "taken",
        "window",
    )

    def __init__(self, connection: Connection, number: int, asked: Any, window: int) -> None:
        self.connection, self.number, self.window = connection, number, window
        #: What the host has made of its headers, and what it keeps of it.
        self.asked, self.host = asked, cast("Any", None)
        #: Whether all of the request has come; bytes of it that were taken and not confirmed; when it began.
        self.ended, self.taken, self.since = False, 0, monotonic()
        #: What could not be sent yet, as the client has no room, and whether the stream ends behind it; when some was sent last.
        self.pending: deque[tuple[bytes, bool]] = deque()
        self.moved = self.since
        #: Done as soon as nothing is pending.
        self.room: asyncio.Future[None] | None = None


class Host(Protocol):
    """What answers the streams of a connection."""

    def met(self, connection: Connection) -> None:
        """Take note of a new connection."""
        ...

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that has ended."""
        ...

    def understood(self, headers: Headers) -> Any:
        """Return what to make of a request's headers; it is remembered by their bytes."""
        ...

    def begun(self, stream: Stream) -> None:
        """Take note of a request whose headers have come."""
        ...

    def came(self, stream: Stream, data: bytes) -> None:
        """Take some of a request; `stream.ended` says whether it was the last."""
        ...

    def gone(self, stream: Stream) -> None:
        """Take note that nobody waits for an answer any more."""
        ...
