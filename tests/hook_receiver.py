"""A receiver of web hooks on loopback that keeps what it was sent, and may refuse it first."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Answers each delivery with the statuses of `refusals` first, and then with 204."""

    def __init__(self, *refusals: int, location: str = "") -> None:
        self.refusals = list(refusals)
        #: Headers and body of each request, also of those that were refused.
        self.requests: list[tuple[dict[str, str], bytes]] = []
        #: Ids of deliveries that were taken, in order.
        self.taken: list[str] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer._take(dict(self.headers), body)
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?secret=1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def events(self) -> list[dict[str, Any]]:
        """Return the bodies, as JSON."""
        return [json.loads(body) for _, body in self.requests]

    def _take(self, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            self.requests.append((headers, body))
            if self.refusals:
                return self.refusals.pop(0)
            self.taken.append(headers["Treadle-Delivery"])
            return 204
