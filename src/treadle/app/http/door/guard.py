"""Who asks: a token, a session of a browser, what a trusted proxy says, or, on a machine of one's own, a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from treadle.app.http.door.asgi import (
    ADDRESS,
    USER,
    App,
    Receive,
    Scope,
    Send,
    cookies_of,
    headers_of,
    refuse,
)
from treadle.app.http.door.bare import looks, show
from treadle.app.http.door.pace import Attempts
from treadle.core.errors import AuthRequired, NotFound, TreadleError
from treadle.core.people import SOMEBODY, User
from treadle.core.settings import UiSettings
from treadle.loop.team import Team
from treadle.serving.listening import is_loopback
from treadle.serving.tokens import digest_of

#: What anybody may ask for: whether the server lives, and how to sign in.
OPEN = ("/livez", "/readyz", "/sign-in", "/sign-in/style.css", "/oidc/begin", "/oidc/done")
_FORWARDED = ("forwarded", "via", "x-real-ip")


class Door(NamedTuple):
    """How people say who they are here."""

    settings: UiSettings
    #: Returns the people of the workspace; raises NotFound where there is no project yet.
    team: Callable[[], Team]
    attempts: Attempts

    @property
    def cookie(self) -> str:
        """What the cookie of a session is called: browsers tell servers of one host apart by this only."""
        return f"treadle_session_{self.settings.port}"

    def is_asked(self) -> bool:
        """Say whether people have to say who they are."""
        found = self.settings
        if found.oidc_issuer or found.proxy_user or not is_loopback(found.host):
            return True
        try:
            return self.team().is_asked()
        except NotFound:
            return False


class Guard:
    """Notes the user of each request; nothing but a named list is answered without one."""

    def __init__(
        self, app: App, *, door: Door, page: Callable[[Scope, Receive, Send], Awaitable[None]]
    ) -> None:
        """Take the door, and the page that browsers are shown which have not signed in."""
        self._app, self._door, self._page = app, door, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            user = await run_in_threadpool(identified, self._door, scope)
        except TreadleError as error:
            if scope["path"] not in OPEN or not isinstance(error, AuthRequired):
                await self._refused(error, scope, receive, send)
                return
            user = None
        scope[USER] = user
        await self._app(scope, receive, send)

    async def _refused(self, error: TreadleError, scope: Scope, receive: Receive, send: Send) -> None:
        if not looks(scope) or "authorization" in headers_of(scope):
            await refuse(error, send)
        elif isinstance(error, AuthRequired):
            await self._page(scope, receive, send)
        else:
            await show(error, send)


def identified(door: Door, scope: Scope) -> User:
    """Return who asks.

    Raises:
        AuthRequired: nobody that is known.
        TooManyAttempts: the address has been wrong too often.
    """
    headers, settings, address = headers_of(scope), door.settings, scope[ADDRESS]
    asked = door.is_asked()
    kind, _, shown = headers.get("authorization", "").partition(" ")
    if asked and kind.lower() == "bearer":
        return by_token(door, shown.strip(), address)
    if asked and (cookie := cookies_of(headers).get(door.cookie)):
        found = door.team().by_session(cookie, newcomers=settings.newcomers)
        if found is not None:
            return found
    named = headers.get(settings.proxy_user.lower(), "") if settings.proxy_user else ""
    if named and scope.get("treadle.proxied"):
        found = door.team().by_name(named, newcomers=settings.newcomers)
        if found is not None:
            return found
    is_proxied = any(name in _FORWARDED or name.startswith("x-forwarded-") for name in headers)
    if not asked and not is_proxied:
        return User(name=SOMEBODY, role="admin")
    msg = "Say who you are: sign in, or send the header 'Authorization: Bearer <token>' (`treadle tokens create NAME --user …`)."
    if not asked:
        msg = "The request came through a proxy, so others may reach this server. Let people sign in: treadle users add NAME --role admin"
    raise AuthRequired(msg)


def by_token(door: Door, shown: str, address: str) -> User:
    """Return whose token is shown.

    Raises:
        AuthRequired: nobody's.
        TooManyAttempts: the address has been wrong too often.
    """
    digest = digest_of(shown)
    door.attempts.check(address, digest)
    found = door.team().by_token(shown)
    if found is None:
        door.attempts.wrong(address)
        msg = (
            "The token is wrong, has ended or was revoked. Make one with: treadle tokens create NAME --user …"
        )
        raise AuthRequired(msg)
    door.attempts.right(address, digest)
    return found
