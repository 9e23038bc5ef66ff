"""What stands before the body of a request and of an answer.

A request's head is read by httptools, which is strict: what two programs could read in two ways is refused. A client that
keeps its connection says nearly the same again and again, so heads are remembered by their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec

from treadle.core.optional import require
from treadle.serving.web import USUAL

#: Bytes and lines that a head may have.
LONGEST, MOST_LINES = 256 * 1024, 100
#: Heads that are remembered, and how long they may be.
_REMEMBERED, _SHORT = 1024, 2048
CHUNKED = -1


class Head(msgspec.Struct, frozen=True):
    """What a request says before its body."""

    method: str
    #: Decoded.
    path: str
    query_string: str
    #: Name in lower case → value; what came twice is one value, with a comma between.
    headers: Mapping[str, str]
    #: Bytes of the body; `CHUNKED`: it says for itself where it ends.
    length: int
    #: Whether the connection may stay open.
    keeps: bool
    #: Whether the caller waits for a word before it sends the body.
    expects: bool
    #: Whether it is of HTTP/1.0.
    is_older: bool


class Malformed(Exception):
    """A head that cannot be read, with the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Lines:
    """Collects what the parser finds."""

    def __init__(self, tools: Any) -> None:
        self.address = b""
        self.lines: list[tuple[str, str]] = []
        self.is_over = self.keeps = False
        self.parser = tools.HttpRequestParser(self)

    def on_url(self, url: bytes) -> None:
        self.address += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self.is_over = True
        self.keeps = self.parser.should_keep_alive()  # behind the body it would say something else


def _read(tools: Any, raw: bytes) -> Head:
    lines = _Lines(tools)
    parser = lines.parser
    try:
        # An upgrade that is offered need not be taken.
        with suppress(tools.HttpParserUpgrade):
            parser.feed_data(raw)
    except tools.HttpParserError as error:
        raise Malformed(400, f"The request cannot be read: {error}.") from error
    version, method = parser.get_http_version(), parser.get_method().decode("latin-1")
    # Other protocols have lines like these, as RTSP, and the parser knows some of them.
    is_http = raw.partition(b"\r\n")[0].endswith(b" HTTP/" + version.encode())
    if not lines.is_over or not is_http or version not in {"1.0", "1.1"} or method == "CONNECT":
        raise Malformed(400, "The request cannot be read. Expected a request of HTTP/1.1.")
    if len(lines.lines) > MOST_LINES:
        raise Malformed(431, f"The request has {len(lines.lines)} headers. At most {MOST_LINES} are read.")
    headers, is_older = _joined(lines.lines), version == "1.0"
    _check(headers, is_older=is_older)
    path, query = _parts(tools, lines.address)
    return Head(
        method,
        path,
        query,
        headers,
        CHUNKED if "transfer-encoding" in headers else int(headers.get("content-length", "0")),
        lines.keeps,
        not is_older and headers.get("expect", "").lower() == "100-continue",
        is_older,
    )


def _joined(lines: list[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in lines:
        if name == "host" and name in headers:
            raise Malformed(400, "The request names two hosts. Expected one.")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _check(headers: Mapping[str, str], *, is_older: bool) -> None:
    # A proxy that speaks HTTP/1.0 passes over the word of chunks, and sees another end of the body than we do.
    way = headers.get("transfer-encoding", "")
    if "transfer-encoding" in headers and (is_older or way.lower() != "chunked"):
        raise Malformed(400, "The body is sent in a way that is not known. Expected chunks, or its length.")
    if not is_older and "host" not in headers:
        raise Malformed(400, "The request names no host. Expected one header 'Host'.")


def _parts(tools: Any, address: bytes) -> tuple[str, str]:
    """Return path and query of an address, which may be a whole one."""
    try:
        if not address.startswith(b"/"):
            found = tools.parse_url(address)
            address = (found.path or b"/") + (b"?" + found.query if found.query else b"")
        path, _, query = address.partition(b"#")[0].partition(b"?")
        return unquote(path.decode(), errors="strict"), query.decode()
    except (tools.HttpParserInvalidURLError, UnicodeDecodeError) as error:
        raise Malformed(400, "The address cannot be read. Expected a path in UTF-8.") from error


class Heads:
    """The heads that one server reads and writes."""

    def __init__(self) -> None:
        """Take the parser.

        Raises:
            MissingExtra: httptools is not installed.
        """
        #: The library that reads heads, and bodies in chunks.
        self.tools = require("httptools", extra="serve")
        self._remembered: dict[bytes, Head] = {}
        #: Of answers; most are the same as of the last answer but for the length.
        self._known: dict[Any, bytes] = {}
        self._usual: bytes | None = None

    def understood(self, raw: bytes) -> Head:
        """Read the head of a request, from its first line to the empty one.

        Raises:
            Malformed: it is no head of HTTP/1, or has more lines than it may.
        """
        found = self._remembered.get(raw)
        if found is None:
            found = _read(self.tools, raw)
            if len(raw) <= _SHORT:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[raw] = found
        return found

    def renew(self) -> None:
        """Forget those of answers, since the time of day that they say has passed."""
        self._known.clear()
        self._usual = None

    def written(
        self, status: int, headers: tuple[tuple[str, str], ...], length: int, *, closes: bool
    ) -> bytes:
        """Return the head of an answer with a body of so many bytes.

        Raises:
            ValueError: a header has a line break in it, and would be read as several.
        """
        # To look headers up takes longer than to see that they are the usual ones.
        is_usual = headers is USUAL and status == HTTPStatus.OK and not closes
        known = self._usual if is_usual else self._known.get((status, headers, closes))
        if known is None:
            lines = [f"{name}: {value}" for name, value in headers]
            if closes and ("connection", "close") not in headers:
                lines.append("connection: close")
            if any("\r" in line or "\n" in line for line in lines):
                msg = f"a header of an answer has a line break in it: {lines}"
                raise ValueError(msg)
            first = f"HTTP/1.1 {status} {_phrase(status)}"
            text = "\r\n".join([first, f"date: {formatdate(usegmt=True)}", *lines, "content-length: "])
            known = self._known[status, headers, closes] = text.encode("latin-1")
            if is_usual:
                self._usual = known
        return b"%b%d\r\n\r\n" % (known, length)


@lru_cache(maxsize=64)
def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
