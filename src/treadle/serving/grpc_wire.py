"""How gRPC writes calls into streams of HTTP/2: metadata, messages with their lengths, and how a call ended.

See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from treadle.core.errors import TreadleError
from treadle.serving.admission import DEADLINE
from treadle.serving.body import unpacked
from treadle.serving.http2.frames import block
from treadle.serving.http2.streams import Headers
from treadle.serving.web import status_of

#: Status → its number.
CODES = {
    name: number
    for number, name in enumerate(
        (
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        )
    )
}
#: HTTP status → gRPC status.
OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    507: "RESOURCE_EXHAUSTED",
}
#: Bytes before each message: whether it is compressed, and its length.
PREFIX = 5
#: Headers of an answer, and what ends one that went well.
HEADERS = block(
    [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-accept-encoding", "identity,gzip,deflate"),
    ]
)
WELL = block([("grpc-status", "0")])
NOT_GRPC = block([(":status", "415"), ("content-length", "0")])
#: Characters of a refusal that are sent.
_LONGEST = 1500
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
#: Metadata that is of gRPC, or would change how a body is read.
_OWN, _HOPS = (":", "content-", "grpc-"), {"te", "transfer-encoding", "connection"}


class Refused(Exception):
    """A call that is not answered, and the status that says so."""

    def __init__(self, code: str, text: str, more: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(text)
        self.code, self.more = code, more


class Asked(msgspec.Struct, frozen=True):
    """What the headers of a call say; None for those that are of no call of gRPC."""

    #: The method's path, as `/inference.GRPCInferenceService/ModelInfer`.
    method: str
    #: Metadata that an application takes for headers.
    headers: dict[str, str]
    #: How messages are compressed.
    encoding: str = "identity"
    #: Why it cannot be answered: status and text.
    problem: tuple[str, str] | None = None


def understood(headers: Headers) -> Asked | None:
    """Return what the headers of a request say; None: it is no call of gRPC."""
    given = dict(headers)
    if given.get(":method") != "POST" or not given.get("content-type", "").startswith("application/grpc"):
        return None
    kept = {
        name: value
        for name, value in headers
        if not name.startswith(_OWN) and name not in _HOPS and not name.endswith("-bin")
    }
    encoding, problem = given.get("grpc-encoding", "identity"), None
    if encoding not in {"identity", "gzip", "deflate"}:
        problem = (
            "UNIMPLEMENTED",
            f"Messages are compressed as {encoding[:20]!r}. Expected gzip, deflate or nothing.",
        )
    patience = given.get("grpc-timeout")
    if patience is not None:
        seconds = _seconds(patience)
        if seconds is None:
            problem = (
                "INVALID_ARGUMENT",
                f"grpc-timeout is {patience[:20]!r}. Expected up to eight digits and a unit.",
            )
        elif DEADLINE not in kept:
            kept[DEADLINE] = repr(max(seconds, 1e-9))
    return Asked(given.get(":path", ""), kept, encoding, problem)


def _seconds(text: str) -> float | None:
    digits, unit = text[:-1], text[-1:]
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= 8
    return int(digits) * _UNITS[unit] if is_number and unit in _UNITS else None


def message_of(data: bytes, encoding: str, *, limit: int) -> bytes:
    """Return the one message of a request.

    Raises:
        Refused: there is none, not all of one, or more than one; or it is compressed and cannot be unpacked.
    """
    if len(data) < PREFIX or int.from_bytes(data[1:PREFIX]) != len(data) - PREFIX:
        raise Refused("INVALID_ARGUMENT", f"The {len(data)} bytes of the request are not one message.")
    return plain(data[0], data[PREFIX:], encoding, limit=limit)


def plain(flag: int, data: bytes, encoding: str, *, limit: int) -> bytes:
    """Return a message as it was before it was compressed.

    Raises:
        Refused: it cannot be unpacked.
    """
    if not flag:
        return data
    if flag != 1 or encoding == "identity":
        raise Refused("INVALID_ARGUMENT", "The message is compressed, and grpc-encoding does not say how.")
    try:
        return unpacked(data, encoding, limit=limit)
    except TreadleError as error:
        raise Refused(OF_HTTP.get(status_of(error), "INVALID_ARGUMENT"), str(error)) from error


def messages(buffer: bytearray, encoding: str, *, limit: int) -> Iterator[bytes]:
    """Take all messages that are whole off a buffer.

    Raises:
        Refused: one is too large, or cannot be unpacked.
    """
    while len(buffer) >= PREFIX:
        size = int.from_bytes(buffer[1:PREFIX])
        check_size(size, limit)
        if len(buffer) < PREFIX + size:
            return
        flag, data = buffer[0], bytes(buffer[PREFIX : PREFIX + size])
        del buffer[: PREFIX + size]
        yield plain(flag, data, encoding, limit=limit)


def check_size(size: int, limit: int) -> None:
    """Refuse a message that is too large.

    Raises:
        Refused: it is.
    """
    if size > limit:
        msg = f"The message has {size} bytes. At most {limit} are allowed (setting serving.max_body)."
        raise Refused("RESOURCE_EXHAUSTED", msg)


def framed(message: bytes) -> bytes:
    """Return a message as it is sent."""
    return b"\0" + len(message).to_bytes(4) + message


def trailers(code: str, text: str = "", more: Sequence[tuple[str, str]] = (), *, first: bool = True) -> bytes:
    """Return the headers that say how a call ended; `first`: nothing of an answer was sent before."""
    begin = [(":status", "200"), ("content-type", "application/grpc")] if first else []
    said = [("grpc-message", quote(text[:_LONGEST], safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}"))] if text else []
    return block([*begin, ("grpc-status", str(CODES[code])), *said, *more])


def said(body: bytes) -> str:
    """Return what the body of a refusal over HTTP says."""
    try:
        found: Any = msgspec.json.decode(body)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:1000].decode(errors="replace")
    return str(found.get("message", found) if isinstance(found, Mapping) else found)[:4000]
