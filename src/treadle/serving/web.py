"""Requests and responses as plain values, so that a protocol never sees the HTTP server under it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from treadle.core.errors import (
    AlreadyExists,
    AuthRequired,
    Conflict,
    InvalidInput,
    NotFound,
    NotLoaded,
    PackageRefused,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    TooLarge,
    TreadleError,
    WrongMediaType,
)

JSON = ("content-type", "application/json")

#: The one table from what happened to an HTTP status; the first class that fits counts.
STATUSES: tuple[tuple[type[TreadleError], int], ...] = (
    (TooLarge, 413),
    (WrongMediaType, 415),
    (InvalidInput, 400),
    (AuthRequired, 401),
    (NotFound, 404),
    (Conflict, 409),
    (AlreadyExists, 409),
    (PackageRefused, 409),
    (StoreFull, 507),
    (StoreReadOnly, 507),
    (StoreUnavailable, 503),
    (NotLoaded, 503),
    (TreadleError, 500),
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sent."""

    method: str
    path: str
    #: Header name in lower case → value.
    headers: Mapping[str, str]
    body: bytes = b""
    #: The named parts of the path, decoded.
    names: Mapping[str, str] = {}
    #: Monotonic seconds at which it came.
    received: float


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (JSON,)


def reply(value: Any, *, status: int = 200) -> Response:
    """Return a response that holds a value as JSON."""
    return Response(status=status, body=msgspec.json.encode(value))


def status_of(error: TreadleError) -> int:
    """Return the HTTP status for an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


class Route:
    """A method and a path such as `/v2/models/{endpoint}/infer`, and what answers it."""

    __slots__ = ("_parts", "handler", "method", "path", "public", "refuse")

    def __init__(
        self,
        method: str,
        path: str,
        *,
        handler: Callable[..., Any],
        refuse: Callable[[str, str | None], bytes],
        public: bool = False,
    ) -> None:
        self.method, self.path, self.handler, self.refuse, self.public = method, path, handler, refuse, public
        self._parts = tuple(path.strip("/").split("/"))

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        """Return the named parts of a path that fits; None: it does not fit."""
        if len(parts) != len(self._parts):
            return None
        names = {}
        for given, wanted in zip(parts, self._parts, strict=True):
            if wanted[:1] == "{":
                names[wanted[1:-1]] = unquote(given)
            elif given != wanted:
                return None
        return names


def refuse_plainly(message: str, field: str | None) -> bytes:
    """Return the body of a refusal: `{"error": {"field": …, "message": …}}`."""
    told = {"message": message} if field is None else {"field": field, "message": message}
    return msgspec.json.encode({"error": told})
