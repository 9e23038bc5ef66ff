"""Answers `/metrics` beside the watcher: one page for Prometheus, with a token where one is set."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from treadle.core.clock import monotonic
from treadle.core.errors import AuthRequired, InvalidInput

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds for which a page is kept: who scrapes more often gets the same.
_KEPT = 5.0
_log = logging.getLogger("treadle.monitoring")


class Exposition:
    """A page of metrics, made when somebody asks."""

    def __init__(self, page: Callable[[], bytes], *, host: str, port: int, token: str = "") -> None:
        """Take what makes the page.

        Raises:
            AuthRequired: others could reach the address, and there is no token.
        """
        if not token and not _is_loopback(host):
            msg = (
                f"The watcher's metrics would be answered at {host!r}, where others can reach them, without a token. Set watch.token "
                '(or TREADLE_WATCH__TOKEN_FILE), or watch.host = "127.0.0.1".'
            )
            raise AuthRequired(msg)
        self._page, self._address, self._token = page, (host, port), token
        self._lock = threading.Lock()
        self._made: tuple[float, bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[int]:
        """Answer as long as the block lasts, and yield the port.

        Raises:
            InvalidInput: the address cannot be listened at.
        """
        try:
            server = ThreadingHTTPServer(self._address, self._handler())
        except OSError as error:
            host, port = self._address
            msg = f"watch.port: {host}:{port} cannot be listened at: {error.strerror}. Choose another port."
            raise InvalidInput(msg, field="watch.port") from error
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def text(self) -> bytes:
        """Return the page, made anew when it is old."""
        with self._lock:
            if self._made is None or monotonic() - self._made[0] > _KEPT:
                self._made = (monotonic(), self._page())
            return self._made[1]

    def _is_let_in(self, header: str) -> bool:
        given = header.removeprefix("Bearer ").strip()
        return not self._token or hmac.compare_digest(given.encode(), self._token.encode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                """Answer."""
                if self.path.partition("?")[0] != "/metrics":
                    self._answer(404, b"There is /metrics.\n")
                elif not outer._is_let_in(self.headers.get("Authorization", "")):
                    self._answer(401, b"A token is needed: Authorization: Bearer ...\n")
                else:
                    self._answer_page()

            def _answer_page(self) -> None:
                try:
                    page = outer.text()
                except Exception as error:  # noqa: BLE001 - the watcher goes on, and Prometheus sees that nothing came
                    _log.warning("metrics cannot be made: %s", error)
                    self._answer(503, b"The metrics cannot be made now; see the watcher's log.\n")
                else:
                    self._answer(200, page)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", _TEXT)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
