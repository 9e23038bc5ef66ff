"""Signing in with a token, and out."""

from __future__ import annotations

from functools import partial
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from treadle.app.http.back import local
from treadle.app.http.door.asgi import ADDRESS, Receive, Scope, Send, cookies_of, headers_of
from treadle.app.http.door.forgery import token_of
from treadle.app.http.door.guard import Door, by_token
from treadle.core.clock import parse_span
from treadle.core.errors import AuthRequired, TooManyAttempts
from treadle.core.people import User
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.serving.web import status_of

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:24rem;margin:15vh auto;padding:0 1rem;color-scheme:light dark}"
    "input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0 1rem}"
    "[role=alert]{border-left:4px solid #b3261e;padding-left:.75rem}"
)


def routes(door: Door) -> list[Route]:
    """Return the ways in and out."""
    return [
        Route("/sign-in", partial(_shown, door), methods=["GET"]),
        Route("/sign-in", partial(_signed_in, door), methods=["POST"]),
        Route("/sign-in/style.css", _style, methods=["GET"]),
        Route("/sign-out", partial(_signed_out, door), methods=["POST"]),
    ]


class SignInPage:
    """What browsers are shown that have not signed in, with where they wanted to go."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        query = scope.get("query_string", b"").decode("latin-1")
        wanted = local(scope["path"] + (f"?{query}" if query else ""))
        await _page(self._door, scope, wanted, status=401)(scope, receive, send)


def keep(response: Response, door: Door, user: User, scope: Scope, *, shown: str = "", by: str) -> None:
    """Begin a session, and let the browser keep it."""
    lasts = door.settings.session
    cookie = door.team().sign_in(user, shown=shown, lasts=lasts, by=by)
    response.set_cookie(
        door.cookie,
        cookie,
        max_age=int(parse_span(lasts).total_seconds()),
        httponly=True,
        samesite="strict",
        secure=scope.get("scheme") == "https",
    )


def _page(door: Door, scope: Scope, wanted: str, *, status: int = 200, wrong: str = "") -> HTMLResponse:
    hidden = [
        element("input", type="hidden", name="csrf", value=token_of(scope)),
        element("input", type="hidden", name="next", value=wanted),
    ]
    label = element("label", "Your token", for_="token")
    field = element(
        "input", type="password", name="token", id="token", autocomplete="current-password", required=True
    )
    form = element(
        "form", *hidden, label, field, element("button", "Sign in"), method="post", action="/sign-in"
    )
    elsewhere = (
        element("p", element("a", "Sign in with your organisation’s account", href="/oidc/begin"))
        if door.settings.oidc_issuer
        else Markup("")
    )
    hint = element("p", "An admin makes one with: ", element("code", "treadle tokens create NAME --user YOU"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Sign in – Treadle"),
        element("link", rel="stylesheet", href="/sign-in/style.css"),
    )
    said = element("p", wrong, role="alert") if wrong else Markup("")
    body = element("body", element("main", element("h1", "Sign in"), said, elsewhere, form, hint))
    return HTMLResponse(
        joined([Markup("<!doctype html>"), element("html", head, body, lang="en")]), status_code=status
    )


async def _shown(door: Door, request: Request) -> Response:
    return _page(door, request.scope, local(request.query_params.get("next", "/")))


async def _style(_: Request) -> Response:
    return Response(_STYLE, media_type="text/css")


async def _signed_in(door: Door, request: Request) -> Response:
    fields = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    wanted, shown = local(fields.get("next", "/")), fields.get("token", "").strip()
    response = RedirectResponse(wanted, 303)

    def begin() -> None:
        user = by_token(door, shown, request.scope[ADDRESS])
        keep(response, door, user, request.scope, shown=shown, by="token")

    try:
        await run_in_threadpool(begin)
    except (AuthRequired, TooManyAttempts) as error:
        return _page(door, request.scope, wanted, status=status_of(error), wrong=str(error))
    return response


async def _signed_out(door: Door, request: Request) -> Response:
    cookie = cookies_of(headers_of(request.scope)).get(door.cookie, "")
    if cookie:
        await run_in_threadpool(door.team().sign_out, cookie)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(door.cookie, httponly=True, samesite="strict")
    return response
