"""What the parts of the door hand on to each other: ASGI, and where a request's user and address are noted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from treadle.app.wire import faults
from treadle.core.errors import TreadleError
from treadle.serving.web import hints, status_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Where the user of a request, the address that it comes from, and the secret of its browser are noted.
USER, ADDRESS, BROWSER = "treadle.user", "treadle.address", "treadle.browser"


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request by their names in lower case; of one that came twice, both with a comma between."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def cookies_of(headers: dict[str, str]) -> dict[str, str]:
    """Return the cookies of a request; of several of one name the first."""
    found: dict[str, str] = {}
    for part in headers.get("cookie", "").replace(",", ";").split(";"):
        name, _, value = part.strip().partition("=")
        found.setdefault(name, value)
    return found


async def refuse(
    error: TreadleError, send: Send, *, also: tuple[tuple[str, str], ...] = (), close: bool = False
) -> None:
    """Answer a request with an error."""
    status = status_of(error)
    body = msgspec.json.encode({"error": faults.told(error)})
    headers = [
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        *hints(status),
        *also,
    ]
    if close:
        headers.append(("connection", "close"))
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [(name.encode(), value.encode()) for name, value in headers]})
    await send({"type": "http.response.body", "body": body})
