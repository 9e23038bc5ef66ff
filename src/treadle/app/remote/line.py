"""The line to a server: requests with a token, answers, errors as they were raised there; long work is taken up again when it breaks."""

from __future__ import annotations

import http.client
import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from treadle.app.wire import faults
from treadle.app.wire.values import decoded, digest_of, encoded
from treadle.core.errors import DigestMismatch, InvalidInput, ServerUnavailable
from treadle.core.progress import Progress

_EXACT, _LINES = "application/vnd.treadle+json", "application/x-ndjson"
#: Seconds that one answer is waited for, and the pauses before a broken line is tried again.
_PATIENCE, _PAUSES = 60.0, (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
_BROKEN = (OSError, http.client.HTTPException)


class Line:
    """Speaks with one server; every call has a connection of its own, so threads may share it."""

    def __init__(self, url: str, *, token: str, progress: Progress) -> None:
        """Take the address, as `https://treadle.team`.

        Raises:
            InvalidInput: it is none.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            msg = f"{parts.scheme}://… is no address of a team server. Expected as 'https://treadle.team', with the token as token=."
            raise InvalidInput(msg, field="project")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._parts, self._token, self._progress = parts, token, progress

    def about(self) -> dict[str, Any]:
        """Return what the server says of itself and of who asks."""
        found: dict[str, Any] = msgspec.json.decode(self._call("GET", "/api/v1"))
        return found

    def ask(self, operation: str, given: Mapping[str, Any]) -> Any:
        """Ask for an operation and return what it returns; what it raises is raised here."""
        body = self._written(given)
        answer = msgspec.json.decode(self._call("POST", f"/api/v1/{operation}", body, accept=_EXACT))
        return decoded(answer["result"], self._fetched, trusted=True)

    def work(self, operation: str, given: Mapping[str, Any]) -> Any:
        """Ask for long work and return what it comes to; a line that breaks is taken up where it broke."""
        body, name = self._written(given), secrets.token_hex(16)
        seen, tries = 0, 0
        while True:
            try:
                lines = (
                    self._lines("POST", f"/api/v1/{operation}", body, work=name)
                    if not seen
                    else self._lines("GET", f"/api/v1/work/{name}?after={seen}")
                )
                for line in lines:
                    if "work" in line or not line:
                        continue
                    seen, tries = seen + 1, 0
                    if "result" in line:
                        return decoded(line["result"], self._fetched, trusted=True)
                    if "error" in line:
                        raise faults.made(line["error"])
                    self._tell(line)
                msg = "the answer ended early"
                raise http.client.HTTPException(msg)
            except _BROKEN as error:
                if tries >= len(_PAUSES):
                    raise self._unavailable(error) from error
                time.sleep(_PAUSES[tries])
                tries += 1

    def _tell(self, line: Mapping[str, Any]) -> None:
        if "step" in line:
            self._progress.step(line["step"])
        else:
            self._progress.advance(line["done"], line["total"])

    def _written(self, given: Mapping[str, Any]) -> bytes:
        return msgspec.json.encode({name: encoded(value, self._kept) for name, value in given.items()})

    def _kept(self, data: bytes) -> str:
        digest = digest_of(data)
        self._call("PUT", f"/api/v1/bytes/{digest}", data, kind="application/octet-stream")
        return digest

    def _fetched(self, digest: str) -> bytes:
        data = self._call("GET", f"/api/v1/bytes/{quote(digest, safe='')}")
        if digest_of(data) != digest:
            msg = f"The server sent other bytes than those of digest {digest[:12]}…."
            raise DigestMismatch(msg)
        return data

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        accept: str = "*/*",
        kind: str = "application/json",
    ) -> bytes:
        try:
            connection, answer = self._begun(method, path, body, {"accept": accept, "content-type": kind})
            with connection:
                data: bytes = answer.read()
        except _BROKEN as error:
            raise self._unavailable(error) from error
        if answer.status >= 300:
            raise _refused(answer.status, data)
        return data

    def _lines(
        self, method: str, path: str, body: bytes | None = None, *, work: str = ""
    ) -> Iterator[dict[str, Any]]:
        headers = {"accept": _LINES, "content-type": "application/json", "treadle-work": work}
        connection, answer = self._begun(method, path, body, headers)
        with connection:
            if answer.status >= 300:
                raise _refused(answer.status, answer.read())
            while line := answer.readline():
                if not line.endswith(b"\n"):
                    msg = "a line was cut off"
                    raise http.client.HTTPException(msg)
                yield msgspec.json.decode(line)

    def _begun(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[_Closing, http.client.HTTPResponse]:
        host, port = self._parts.hostname or "", self._parts.port
        connection: http.client.HTTPConnection
        if self._parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body, headers)
            return _Closing(connection), connection.getresponse()
        except BaseException:
            connection.close()
            raise

    def _unavailable(self, error: Exception) -> ServerUnavailable:
        return ServerUnavailable(
            f"The team server at {self.url} does not answer: {type(error).__name__}. Is `treadle ui` running there?"
        )


class _Closing:
    """A connection that is closed at the end of a block."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _refused(status: int, data: bytes) -> Exception:
    try:
        return faults.made(msgspec.json.decode(data)["error"])
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        return ServerUnavailable(
            f"What answers there is no team server (status {status}). Look at the address."
        )
