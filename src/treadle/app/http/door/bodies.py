"""How large a request may be, and how slowly it may come."""

from __future__ import annotations

import asyncio

from treadle.app.http.door.asgi import App, Message, Receive, Scope, Send, headers_of, refuse
from treadle.core.clock import monotonic
from treadle.core.errors import BodyTooSlow, InvalidInput, TooLarge, TreadleError

#: Bytes a second that a body must come with, after its first pause.
_LEAST_RATE = 8 * 1024


class Bodies:
    """Refuses bodies that are too large before they are read, and gives up on those that do not come."""

    def __init__(self, app: App, *, most: int, most_sent: int, sent_below: str, pause: float) -> None:
        """Take the limit for requests, that for what is sent below a path, and the longest pause."""
        self._app, self._most, self._most_sent = app, most, most_sent
        self._below, self._pause = sent_below, pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        limit = self._most_sent if scope["path"].startswith(self._below) else self._most
        began, seen, answered = monotonic(), 0, False

        async def received() -> Message:
            nonlocal seen
            try:
                message = await asyncio.wait_for(receive(), self._pause)
            except TimeoutError:
                msg = f"Nothing more of the request came for {self._pause:g} s. Send it again."
                raise BodyTooSlow(msg) from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _too_large(limit)
                if monotonic() - began > self._pause + seen / _LEAST_RATE:
                    msg = "The request comes too slowly. Send it again over a better connection."
                    raise BodyTooSlow(msg)
                if not message.get("more_body"):
                    done.set()
            return message

        async def after() -> Message:
            """Wait, once all has come, for the other side to go: without a limit."""
            return await (receive() if done.is_set() else received())

        async def sent(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        done = asyncio.Event()
        try:
            _check_length(scope, limit)
            await self._app(scope, after, sent)
        except (TooLarge, BodyTooSlow, InvalidInput) as error:
            if answered:
                raise
            await refuse(error, send, close=True)


def _check_length(scope: Scope, limit: int) -> None:
    text = headers_of(scope).get("content-length", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        msg = "The header 'Content-Length' is no number."
        raise InvalidInput(msg, field="content-length")
    if int(text) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> TreadleError:
    return TooLarge(f"The request is larger than {limit:,} bytes (settings ui.max_body and ui.max_upload).")
