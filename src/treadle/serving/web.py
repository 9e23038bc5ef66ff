"""Requests and responses as plain values, so that a protocol never sees the HTTP server under it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from treadle.core.errors import (
    AlreadyExists,
    AuthRequired,
    BodyTooSlow,
    CallerGone,
    Conflict,
    DeadlinePassed,
    Forbidden,
    InvalidInput,
    Misdirected,
    MissingExtra,
    NotFound,
    NotLoaded,
    NotOffered,
    Overloaded,
    PackageRefused,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    TooLarge,
    TooManyAttempts,
    TooManyRequests,
    TreadleError,
    WrongMediaType,
)

JSON = ("content-type", "application/json")
#: The headers of most answers.
USUAL = (JSON,)

#: The one table from what happened to an HTTP status; the first class that fits counts.
STATUSES: tuple[tuple[type[TreadleError], int], ...] = (
    (TooLarge, 413),
    (WrongMediaType, 415),
    (Misdirected, 421),
    (InvalidInput, 400),
    (AuthRequired, 401),
    (Forbidden, 403),
    (TooManyAttempts, 429),
    (TooManyRequests, 429),
    (BodyTooSlow, 408),
    (CallerGone, 499),
    (DeadlinePassed, 504),
    (Overloaded, 503),
    (NotFound, 404),
    (Conflict, 409),
    (AlreadyExists, 409),
    (PackageRefused, 409),
    (StoreFull, 507),
    (StoreReadOnly, 507),
    (StoreUnavailable, 503),
    (NotLoaded, 503),
    (MissingExtra, 501),
    (NotOffered, 501),
    (TreadleError, 500),
)


#: Characters of a refusal's message and of its field that are sent: what came may have been a megabyte.
_LONGEST, _LONGEST_FIELD = 4_000, 300


class Request(msgspec.Struct, frozen=True, gc=False):
    """What a caller sent."""

    method: str
    path: str
    #: Header name in lower case → value.
    headers: Mapping[str, str]
    #: Monotonic seconds at which it came.
    received: float
    body: bytes = b""
    #: The named parts of the path, decoded; `endpoint` is always there where a prediction is asked for.
    names: Mapping[str, str] = {}
    #: What stands behind the question mark of the address; see `query_of`.
    query: Mapping[str, str] = {}
    #: Monotonic seconds after which nobody waits for the answer.
    deadline: float = inf
    #: The path below which the server is mounted in another one, decoded; empty: it is not.
    root: str = ""
    #: Where it is noted what becomes of it; None: nobody wants to know.
    notes: Any = None


class Refusal(NamedTuple):
    """An error, as far as it is sent."""

    status: int
    message: str
    field: str | None


class Response(msgspec.Struct, frozen=True, gc=False):
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = USUAL


def reply(value: Any, *, status: int = 200) -> Response:
    """Return a response that holds a value as JSON."""
    return Response(status=status, body=msgspec.json.encode(value))


def query_of(text: str) -> dict[str, str]:
    """Return the parameters of an address; of those that came twice the last.

    Raises:
        InvalidInput: they are not UTF-8, or there are more than a hundred.
    """
    if not text:
        return {}
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100, errors="strict"))
    except ValueError as error:
        msg = f"The parameters behind the question mark cannot be read: {error}."
        raise InvalidInput(msg) from error


def status_of(error: TreadleError) -> int:
    """Return the HTTP status for an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def hints(status: int) -> tuple[tuple[str, str], ...]:
    """Return the headers that say what a refused caller may do."""
    if status == 401:
        return (("www-authenticate", "Bearer"),)
    return (("retry-after", "1"),) if status in {429, 503, 507} else ()


def refuse_plainly(message: str, field: str | None) -> bytes:
    """Return the body of a refusal: `{"error": {"field": …, "message": …}}`."""
    told = {"message": message} if field is None else {"field": field, "message": message}
    return msgspec.json.encode({"error": told})


def refusal_of(error: TreadleError) -> Refusal:
    """Return what is sent of an error."""
    field = getattr(error, "field", None)
    return Refusal(
        status_of(error), _cut(str(error), _LONGEST), None if field is None else _cut(field, _LONGEST_FIELD)
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
