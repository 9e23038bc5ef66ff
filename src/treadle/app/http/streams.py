"""Answers that go on for long: each takes one of the requests that the server answers at once, so that they are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.responses import StreamingResponse

from treadle.app.http.door.asgi import Receive, Scope, Send
from treadle.core.errors import Overloaded

#: Streams that are open at most, and of one user: less than the server answers at once, so that there is room for others.
_MOST, _EACH = 600, 100


class Streams:
    """The streams of one server."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def begin(
        self,
        user: str,
        lines: AsyncIterator[str] | AsyncIterator[bytes],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> StreamingResponse:
        """Return a response that sends lines as they come.

        Raises:
            Overloaded: too many are open.
        """
        if self._open[user] >= _EACH or self._open.total() >= _MOST:
            msg = f"{self._open[user]} streams of {user} are open here. Close one, and try again."
            raise Overloaded(msg)
        self._open[user] += 1
        return _Counted(lines, ends=lambda: self._end(user), media_type=media_type, headers=headers)

    def _end(self, user: str) -> None:
        self._open[user] -= 1
        if not self._open[user]:
            del self._open[user]


class _Counted(StreamingResponse):
    """A stream that says when it has ended, however it does."""

    def __init__(
        self,
        lines: AsyncIterator[str] | AsyncIterator[bytes],
        *,
        ends: Callable[[], None],
        media_type: str,
        headers: Mapping[str, str] | None,
    ) -> None:
        super().__init__(lines, media_type=media_type, headers=headers)
        self._ends = ends

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ends()
