"""How the client talks: connections that are kept and used again, refusals as errors, and when to come again."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import inf
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from treadle.core.addresses import connected, resolve
from treadle.core.clock import SystemClock, monotonic
from treadle.core.errors import (
    AuthRequired,
    Conflict,
    InvalidInput,
    ModelFailed,
    NotFound,
    ServerUnavailable,
    TooLarge,
    TreadleError,
    WrongMediaType,
)

#: Connections that are kept open while nobody uses them.
_KEPT = 32
_KINDS: dict[int, type[TreadleError]] = {
    401: AuthRequired,
    403: AuthRequired,
    404: NotFound,
    409: Conflict,
    429: ServerUnavailable,
    502: ServerUnavailable,
    503: ServerUnavailable,
    504: ServerUnavailable,
}
_FITS = {400: InvalidInput, 413: TooLarge, 415: WrongMediaType}


class Answered(NamedTuple):
    """What a server sent back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class _Connection(http.client.HTTPConnection):
    """A connection whose requests end at a moment: a socket's own limit is for each piece that comes, not for all."""

    #: The monotonic moment at which the present request is given up.
    end = inf

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext | None) -> None:
        """Prepare it; `context` makes it one of TLS."""
        if context is not None:
            self.default_port = 443
        super().__init__(host, port)
        self._context = context
        self.response_class = self._response  # type: ignore[assignment]  # a function that makes one will do

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: there are none.
        """
        left = self.end - monotonic()
        if left <= 0:
            msg = "timed out"
            raise TimeoutError(msg)
        return left

    def connect(self) -> None:
        """Find the host and connect."""
        try:
            targets = resolve(self.host, self.port, None, timeout=self.left())
        except InvalidInput as error:
            raise OSError(str(error)) from error
        self.sock = connected(targets, self.port, self.end)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(self.left())
        if self._context is not None:
            # The limit of a handshake, and of what is sent, is for all of it.
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
            self.sock.settimeout(self.left())

    def _response(self, sock: socket.socket, **more: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Readable(sock, self), **more)  # type: ignore[arg-type]


class _Readable:
    """A socket as the reader of a response takes it."""

    def __init__(self, sock: socket.socket, connection: _Connection) -> None:
        self._sock, self._connection = sock, connection

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - always "rb"
        """Return what is read from."""
        return io.BufferedReader(_Pieces(self._sock, self._connection))


class _Pieces(io.RawIOBase):
    """The pieces of an answer as they come, each waited for as long as the whole request has time."""

    def __init__(self, sock: socket.socket, connection: _Connection) -> None:
        self._sock, self._connection = sock, connection
        # It keeps the socket open until the answer is read, also when the connection is closed before.
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._connection.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Pool:
    """Connections to one server."""

    def __init__(self, url: str, *, token: str) -> None:
        """Prepare it.

        Raises:
            InvalidInput: the address is not one of http or https.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f"The address is {url!r}. Expected one as http://localhost:8080."
            raise InvalidInput(msg, field="url")
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._url = url
        self._free: list[_Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def send(self, method: str, path: str, body: bytes | None, *, end: float) -> Answered:
        """Send a request and return the answer; one that is kept and was closed meanwhile is made anew.

        Finding the host, connecting, sending and reading all of the answer end at the monotonic moment `end`.

        Raises:
            ServerUnavailable: it cannot be reached, or does not answer in time.
        """
        while True:
            connection = self._taken()
            is_new = connection is None
            connection = connection or _Connection(self._host, self._port, self._context)
            try:
                return self._sent(connection, method, path, body, end=end)
            except (ConnectionError, http.client.BadStatusLine) as error:
                connection.close()
                if is_new:
                    raise self._unavailable(error) from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise self._unavailable(error) from error
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close the connections that nobody uses; those that are used are closed behind their answer."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def _sent(
        self,
        connection: _Connection,
        method: str,
        path: str,
        body: bytes | None,
        *,
        end: float,
    ) -> Answered:
        connection.end = end
        if connection.sock is not None:
            connection.sock.settimeout(connection.left())
        connection.request(method, self._base + path, body=body, headers=self._headers)
        response = connection.getresponse()
        answered = Answered(response.status, response.headers, response.read())
        self._put(connection, is_open=not response.will_close)
        return answered

    def _taken(self) -> _Connection | None:
        with self._lock:
            return self._free.pop() if self._free else None

    def _put(self, connection: _Connection, *, is_open: bool) -> None:
        with self._lock:
            if is_open and not self._closed and len(self._free) < _KEPT:
                self._free.append(connection)
                return
        connection.close()

    def _unavailable(self, error: Exception) -> ServerUnavailable:
        said = str(error) or type(error).__name__
        return ServerUnavailable(f"The prediction server at {self._url} does not answer: {said}.")


def problem_of(answered: Answered) -> TreadleError:
    """Return a refusal as the error that it was on the server."""
    message, field = _said(answered)
    if answered.status in _FITS:
        return _FITS[answered.status](message, field=field)
    kind = _KINDS.get(answered.status, ModelFailed if answered.status >= 500 else InvalidInput)
    return kind(message)


def retry_after(answered: Answered) -> float:
    """Return in how many seconds the server wants to be asked again, 0 where it does not say."""
    said = answered.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdecimal():
        return float(said[:9])
    try:
        moment = parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - SystemClock().now()).total_seconds(), 0.0)


def _said(answered: Answered) -> tuple[str, str | None]:
    try:
        error = msgspec.json.decode(answered.body)["error"]
        return str(error["message"]), error.get("field")
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        text = answered.body[:200].decode(errors="replace").strip()
        return f"The server answered {answered.status}: {text or 'nothing'}", None
