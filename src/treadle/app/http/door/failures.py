"""What is said of errors: one raised on purpose as it is, any other without what it says, which may hold a secret."""

from __future__ import annotations

import logging

from treadle.app.http.door.asgi import App, Message, Receive, Scope, Send, refuse
from treadle.core.errors import BodyTooSlow, TooLarge, TreadleError

_log = logging.getLogger("treadle.ui")


class Failures:
    """Answers with the error that a request came to."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except (TooLarge, BodyTooSlow):
            raise
        except TreadleError as error:
            await refuse(error, send)
        except Exception:  # the server goes on, whatever a page or an operation came to
            path = scope["path"].encode("unicode_escape").decode()[:200]
            _log.exception("%s %s failed", scope["method"], path)
            if begun:
                raise
            msg = "Something went wrong here; the server's log says what."
            await refuse(TreadleError(msg), send)
