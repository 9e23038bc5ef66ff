"""An error as a page without a frame: for browsers, where there is no project that a frame could be about."""

from __future__ import annotations

from treadle.app.http.door.asgi import Scope, Send, headers_of
from treadle.core.errors import TreadleError
from treadle.data.profiles.page.markup import element
from treadle.serving.web import hints, status_of


def looks(scope: Scope) -> bool:
    """Say whether a browser wants to show what comes back."""
    return scope["method"] == "GET" and "text/html" in headers_of(scope).get("accept", "")


async def show(error: TreadleError, send: Send) -> None:
    """Answer a browser with an error."""
    status = status_of(error)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Treadle"),
        element("link", rel="stylesheet", href="/sign-in/style.css"),
    )
    main = element(
        "main",
        element("h1", "There is nothing to show yet" if status == 404 else "This cannot be shown"),
        element("p", str(error)),
        element("p", element("a", "Load this page again", href="")),
    )
    page = "<!doctype html>\n" + element("html", head, element("body", main), lang="en") + "\n"
    body = page.encode()
    headers = [("content-type", "text/html; charset=utf-8"), ("content-length", str(len(body)))]
    told = [(name.encode(), value.encode()) for name, value in (*headers, *hints(status))]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
