"""Requests to an MLflow server over its REST API: each ends in a bounded time, follows no redirect, shows no secret."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from treadle.core.errors import MirrorRefused, MirrorUnavailable, SettingsError

#: Seconds that a request may take where `MLFLOW_HTTP_REQUEST_TIMEOUT` says nothing else (MLflow's own default is 120).
TIMEOUT = 10.0
#: Bytes a second that a file must at least come or go with.
_SLOWEST = 200_000
#: Statuses that say nothing of what was asked: who asks is not let in, or it may be another answer later.
_PASSING = {401, 403, 407, 408, 425, 429}
_SAID = 300
#: The largest answer that is no file.
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class Server:
    """Where a server is, and how one is let in."""

    #: The address without user, password and last slash, as it may be shown.
    address: str
    #: Value of the header `Authorization`; empty: none.
    authorization: str = field(default="", repr=False)
    timeout: float = TIMEOUT
    #: Checks the server's certificate; None: it is asked in plain text.
    tls: ssl.SSLContext | None = None


def server(uri: str, variables: Mapping[str, str]) -> Server:
    """Return the server that a tracking URI and the variables `MLFLOW_TRACKING_*` name.

    Raises:
        SettingsError: it is no server that answers over HTTP, or a variable asks for what is not done here.
    """
    try:
        parts = urllib.parse.urlsplit(uri)
        place = parts.hostname and f"{parts.scheme}://{_host(parts)}{parts.path.rstrip('/')}"
    except ValueError:
        place = ""
    if parts.scheme not in {"http", "https"} or not place:
        msg = (
            f"MLFLOW_TRACKING_URI names no server that answers over HTTP (it begins with {parts.scheme or 'no scheme'!r}). "
            "Expected http://host:port or https://host; start one with: mlflow server --backend-store-uri sqlite:///mlflow.db"
        )
        raise SettingsError(msg)
    for name in ("MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"):
        if variables.get(name):
            msg = (
                f"{name} is set, which the mirror cannot do. Expected a user and password, a token, or none."
            )
            raise SettingsError(msg)
    user = variables.get("MLFLOW_TRACKING_USERNAME") or urllib.parse.unquote(parts.username or "")
    password = variables.get("MLFLOW_TRACKING_PASSWORD") or urllib.parse.unquote(parts.password or "")
    return Server(
        address=place,
        authorization=_authorization(user, password, variables.get("MLFLOW_TRACKING_TOKEN", "")),
        timeout=_seconds(variables.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")),
        tls=_tls(variables) if parts.scheme == "https" else None,
    )


class Client:
    """Asks one server."""

    def __init__(self, asked: Server) -> None:
        self._server = asked
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), _Http(self._opened)]
        if asked.tls is not None:
            handlers.append(_Https(asked.tls, self._opened))
        self._opener = urllib.request.build_opener(*handlers)
        self._socket: socket.socket | None = None
        #: Whether a request was cut off as it took too long.
        self._was_cut = False

    @property
    def address(self) -> str:
        """The server's address, as it may be shown."""
        return self._server.address

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Ask for something; see `send`."""
        return self.send("GET", path, query=query)

    def send(
        self, verb: str, path: str, body: Any = None, query: Mapping[str, str | int] | None = None
    ) -> dict[str, Any]:
        """Send JSON to a path below `/api/2.0/mlflow/`, and return the answer.

        Raises:
            MirrorUnavailable: no whole answer came within the time-out, the server failed, or does not let us in.
            MirrorRefused: the server says that this cannot be.
        """
        data = b"" if body is None else msgspec.json.encode(body)
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        answer = self._ask(verb, f"/api/2.0/mlflow/{path}{asked}", data, "application/json")
        try:
            found = msgspec.json.decode(answer, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            said = "it answered with something else than JSON; is it an MLflow server?"
            raise self._away(said, may_have_made=_makes(verb, path)) from error
        return found

    def text(self, path: str) -> str:
        """Return what stands at a path of the server."""
        return self._ask("GET", path, b"", "").decode("utf-8", "replace").strip()

    def put_file(self, path: str, data: bytes) -> None:
        """Store an artefact through the server."""
        self._ask("PUT", _artefact(path), data, "application/octet-stream")

    def get_file(self, path: str, *, most: int) -> bytes:
        """Return an artefact from the server.

        Raises:
            MirrorRefused: there is none, or it is larger than `most` bytes.
        """
        return self._ask("GET", _artefact(path), b"", "", most=most)

    def list_files(self, path: str) -> list[dict[str, Any]]:
        """Return what is in a folder of artefacts: `path` (relative to it), `is_dir`, `file_size`."""
        query = urllib.parse.urlencode({"path": path})
        answer = self._ask("GET", f"/api/2.0/mlflow-artifacts/artifacts?{query}", b"", "")
        found: list[dict[str, Any]] = msgspec.json.decode(answer).get("files", [])
        return found

    def _ask(self, verb: str, path: str, data: bytes, kind: str, *, most: int = _LARGEST) -> bytes:
        server = self._server
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            server.address + path, data=data if verb != "GET" else None, method=verb
        )
        request.add_header("User-Agent", "treadle")
        if kind and verb != "GET":
            request.add_header("Content-Type", kind)
        if server.authorization:
            request.add_unredirected_header("Authorization", server.authorization)
        seconds = server.timeout + (len(data) + (0 if most == _LARGEST else most)) / _SLOWEST
        makes = _makes(verb, path)
        try:
            with self._watched(seconds), self._opener.open(request, timeout=server.timeout) as answer:
                return self._read(answer, most)
        except urllib.error.HTTPError as error:
            raise self._refused(error, makes=makes) from None
        except urllib.error.URLError as error:
            makes = makes and not isinstance(error.reason, ConnectionRefusedError)
            said = f"it cannot be reached ({_plain(error.reason)})"
            raise self._away(said, may_have_made=makes) from None
        except TimeoutError:
            raise self._away(_silent(server.timeout), may_have_made=makes) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = _silent(seconds) if self._was_cut else f"it broke off ({type(error).__name__})"
            raise self._away(said, may_have_made=makes) from None

    def _read(self, answer: http.client.HTTPResponse, most: int) -> bytes:
        data = answer.read(most + 1)
        if len(data) > most:
            msg = f"{self.address} answers with more than {most:,} bytes."
            raise MirrorRefused(msg, code="TOO_LARGE")
        # Without a length, an answer that was cut off looks whole.
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return data

    def _refused(self, error: urllib.error.HTTPError, *, makes: bool) -> MirrorUnavailable | MirrorRefused:
        try:
            with self._watched(self._server.timeout), error:
                said = error.read(_LARGEST)
        except (OSError, http.client.HTTPException, ValueError):
            said = b""
        if error.code >= 500 or error.code in _PASSING or 300 <= error.code < 400:
            failed = error.code >= 500
            return self._away(
                _meaning(error.code), is_of_one_request=error.code == 500, may_have_made=makes and failed
            )
        try:
            told = msgspec.json.decode(said, type=dict[str, Any])
        except msgspec.MsgspecError:
            told = {}
        text = _plain(told.get("message") or "it says no more")
        msg = f"{self.address} answered {error.code}: {text}"
        return MirrorRefused(msg, code=str(told.get("error_code", error.code)))

    def _away(self, what: str, **more: bool) -> MirrorUnavailable:
        msg = f"MLflow at {self.address}: {what}. What is missing there is sent later."
        return MirrorUnavailable(msg, **more)

    def _opened(self, found: socket.socket) -> None:
        self._socket = found

    @contextmanager
    def _watched(self, seconds: float) -> Iterator[None]:
        """Cut a request off that takes longer: a time-out of a socket begins anew with every byte that comes."""
        self._was_cut = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        found, self._was_cut = self._socket, True
        if found is not None:
            try:
                found.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the answer: an address that was not configured gets no token."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Http(urllib.request.HTTPHandler):
    """Tells which socket a request goes over."""

    def __init__(self, opened: Any) -> None:
        super().__init__()
        self._told = opened

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection that tells its socket."""
        told = self._told

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                told(self.sock)

        return self.do_open(Connection, req)


class _Https(urllib.request.HTTPSHandler):
    """Tells which socket a request goes over."""

    def __init__(self, context: ssl.SSLContext, opened: Any) -> None:
        super().__init__(context=context)
        self._checked, self._told = context, opened

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open a connection that tells its socket."""
        told = self._told

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                told(self.sock)

        return self.do_open(Connection, req, context=self._checked)


def _makes(verb: str, path: str) -> bool:
    """Return whether a request makes something that would be there twice if it were repeated."""
    return verb == "POST" and not path.endswith("/search")


def _silent(seconds: float) -> str:
    return f"it did not answer within {round(seconds, 1):g} s"


def _artefact(path: str) -> str:
    return f"/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(path)}"


def _host(parts: urllib.parse.SplitResult) -> str:
    host = str(parts.hostname)
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{parts.port}" if parts.port else shown


def _authorization(user: str, password: str, token: str) -> str:
    if user and password:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    if token and not (token.isascii() and token.isprintable()):
        msg = "MLFLOW_TRACKING_TOKEN holds something that no header can hold. Expected one line of ASCII."
        raise SettingsError(msg)
    return f"Bearer {token}" if token else ""


def _seconds(text: str) -> float:
    try:
        seconds = float(text or TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        msg = f"MLFLOW_HTTP_REQUEST_TIMEOUT is {text[:50]!r}. Expected a number of seconds, as 10."
        raise SettingsError(msg)
    return seconds


def _tls(variables: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    except OSError as error:
        msg = f"MLFLOW_TRACKING_SERVER_CERT_PATH names a file that holds no certificates: {error}"
        raise SettingsError(msg) from error
    if variables.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"true", "1"}:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _meaning(status: int) -> str:
    if status in {401, 407}:
        return (
            f"it answered {status}: it does not know us. Set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if status == 403:
        return "it answered 403: we may not write there"
    if 300 <= status < 400:
        return f"it answered {status}, and redirects are not followed: name its final address"
    return f"it answered {status}"


def _plain(value: object) -> str:
    """Return a text of somebody else's as one short line."""
    return " ".join(str(value).split())[:_SAID].rstrip(".")
