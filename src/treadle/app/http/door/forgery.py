"""Changes that a browser asks for come from a page of this server: a cookie that no other place's page sends, and a token in the form.

Programs show a token in a header, which no page elsewhere can add, and need nothing more.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from urllib.parse import parse_qsl

from treadle.app.http.door.asgi import (
    BROWSER,
    USER,
    App,
    Message,
    Receive,
    Scope,
    Send,
    cookies_of,
    headers_of,
    refuse,
)
from treadle.core.errors import BodyTooSlow, Forbidden, TooLarge, TreadleError, WrongMediaType

_READS = ("GET", "HEAD", "OPTIONS", "TRACE")
_FORM, _LARGEST_FORM = "application/x-www-form-urlencoded", 1024 * 1024
#: What programs send: nothing that a form can, so that a browser asks us before it does, and we say no.
SENT = ("application/json", "application/vnd.treadle+json", "application/octet-stream")
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def token_of(scope: Scope) -> str:
    """Return what a form on a page for this browser has to send as `csrf`."""
    return hmac.new(scope[BROWSER].encode(), b"csrf", hashlib.sha256).hexdigest()


class Browser:
    """Notes which browser asks: one that is not known gets a cookie that only pages of this server send."""

    def __init__(self, app: App, *, port: int, session: str) -> None:
        self._app, self._cookie, self._session = app, f"treadle_browser_{port}", session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        cookies = cookies_of(headers_of(scope))
        known = cookies.get(self._cookie, "")
        secret = known if _SECRET.fullmatch(known) else secrets.token_urlsafe(32)
        scope[BROWSER] = secret + cookies.get(self._session, "")

        async def sent(message: Message) -> None:
            shows = any(value.startswith(b"text/html") for _, value in message.get("headers", ()))
            if message["type"] == "http.response.start" and secret != known and shows:
                secure = "; Secure" if scope.get("scheme") == "https" else ""
                kept = f"{self._cookie}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}"
                message = {**message, "headers": [*message["headers"], (b"set-cookie", kept.encode())]}
            await send(message)

        await self._app(scope, receive, sent)


class Forgery:
    """Refuses changes that no page of ours asked for."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["method"] not in _READS:
            try:
                receive = await _checked(scope, receive)
            except (TooLarge, BodyTooSlow):
                raise
            except TreadleError as error:
                await refuse(error, send, close=True)
                return
        await self._app(scope, receive, send)


async def _checked(scope: Scope, receive: Receive) -> Receive:
    """Make sure that a change may be asked for, and return where its body can be read (again)."""
    headers, user = headers_of(scope), scope[USER]
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if user is not None and user.by == "token":
        return receive
    if scope["path"].startswith("/api/"):
        if kind not in SENT:
            msg = f"The body is said to be {kind[:100]!r}. Expected the header 'Content-Type: application/json'."
            raise WrongMediaType(msg, field="content-type")
        if user is not None and user.by != "loopback":
            _check(scope, headers.get("x-csrf-token", ""))
        return receive
    if kind != _FORM:
        msg = f"The body is said to be {kind[:100]!r}. Expected a form ({_FORM})."
        raise WrongMediaType(msg, field="content-type")
    body = await _read(receive)
    fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    _check(scope, fields.get("csrf", ""))
    return _again(body, receive)


def _check(scope: Scope, given: str) -> None:
    if not hmac.compare_digest(given.encode(), token_of(scope).encode()):
        msg = "The form is not of a page that this server gave to this browser, or it is too old. Load the page again and repeat it."
        raise Forbidden(msg)


async def _read(receive: Receive) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _LARGEST_FORM:
            msg = f"The form is larger than {_LARGEST_FORM:,} bytes."
            raise TooLarge(msg)
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives a body which was read already, and then what comes."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received
