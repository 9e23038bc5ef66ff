"""How the client talks: connections that are kept and used again, refusals as errors, and when to come again."""

from __future__ import annotations

import http.client
import ssl
import threading
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from treadle.core.clock import SystemClock
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
        self._free: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def send(self, method: str, path: str, body: bytes | None, *, timeout: float) -> Answered:
        """Send a request and return the answer; one that is kept and was closed meanwhile is made anew.

        Raises:
            ServerUnavailable: it cannot be reached, or does not answer in time.
        """
        while True:
            connection = self._taken()
            is_new = connection is None
            connection = connection or self._made()
            try:
                return self._sent(connection, method, path, body, timeout=max(timeout, 0.001))
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
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout: float,
    ) -> Answered:
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request(method, self._base + path, body=body, headers=self._headers)
        response = connection.getresponse()
        answered = Answered(response.status, response.headers, response.read())
        self._put(connection, is_open=not response.will_close)
        return answered

    def _made(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port)
        return http.client.HTTPSConnection(self._host, self._port, context=self._context)

    def _taken(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._free.pop() if self._free else None

    def _put(self, connection: http.client.HTTPConnection, *, is_open: bool) -> None:
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
