"""What is said of errors: one raised on purpose as it is, any other without what it says, which may hold a secret."""

from __future__ import annotations

import logging
import re
import traceback

from treadle.app.http.door.asgi import App, Message, Receive, Scope, Send, refuse
from treadle.app.http.door.bare import looks, show
from treadle.core.errors import BodyTooSlow, TooLarge, TreadleError

_log = logging.getLogger("treadle.ui")
#: Passwords in addresses, and what is said to be a secret.
_SECRET = re.compile(
    r"(://[^\s:/@]*:)[^\s@/]+(?=@)|((?:password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+",
    re.IGNORECASE,
)


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
            await (show(error, send) if looks(scope) else refuse(error, send))
        except Exception:  # the server goes on, whatever a page or an operation came to
            path = scope["path"].encode("unicode_escape").decode()[:200]
            _log.error("%s %s failed:\n%s", scope["method"], path, masked(traceback.format_exc()))
            if begun:
                raise
            msg = "Something went wrong here; the server's log says what."
            failure = TreadleError(msg)
            await (show(failure, send) if looks(scope) else refuse(failure, send))


def masked(text: str) -> str:
    """Return a text without the secrets that can be told by what stands before them.

    >>> masked("cannot reach postgresql://me:hunter2@db, password=hunter2")
    'cannot reach postgresql://me:***@db, password=***'
    """
    return _SECRET.sub(lambda found: f"{found[1] or found[2]}***", text)
