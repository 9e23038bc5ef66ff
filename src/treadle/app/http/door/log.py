"""The access log of the team server: who asked for what, from where, and what came of it; no query, no body, no secret."""

from __future__ import annotations

import msgspec
from starlette.types import ASGIApp

from treadle.app.http.door.asgi import ADDRESS, USER, Message, Receive, Scope, Send
from treadle.core.clock import Clock, monotonic
from treadle.serving.access_log import AccessLog

_LONGEST = 200


class Line(msgspec.Struct, omit_defaults=True):
    """A request."""

    at: str
    method: str
    path: str
    status: int
    seconds: float
    client: str = ""
    user: str = ""


class Log:
    """Writes a line for each request."""

    def __init__(self, app: ASGIApp, *, log: AccessLog | None, clock: Clock) -> None:
        self._app, self._log, self._clock = app, log, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # nothing here speaks otherwise, and what is not checked is not let in
            await _otherwise(scope, receive, send)
            return
        began, status = monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            if self._log is not None:
                self._log.take(self._line(scope, status or 500, monotonic() - began))
                self._log.flush()

    def _line(self, scope: Scope, status: int, seconds: float) -> Line:
        user = scope.get(USER)
        return Line(
            at=self._clock.now().isoformat(timespec="milliseconds"),
            method=scope["method"][:20],
            path=scope["path"][:_LONGEST],
            status=status,
            seconds=round(seconds, 6),
            client=str(scope.get(ADDRESS, ""))[:_LONGEST],
            user=user.name if user is not None else "",
        )


async def _otherwise(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    while message["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
        message = await receive()
    await send({"type": "lifespan.shutdown.complete"})
