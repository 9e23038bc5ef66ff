"""A wire to a server that holds the first request of a kind back: who asked hears nothing, and much later it arrives."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Wire:
    """What is held back: the end of a path, once."""

    def __init__(self, target: str, path: str) -> None:
        self.target, self.path = target, path
        self.address = ""
        #: Set by the test: what is held back is to arrive; and set here: it has arrived.
        self.let_go, self.arrived = threading.Event(), threading.Event()
        self._held = threading.Lock()

    def is_held(self, path: str) -> bool:
        """Return whether a request is the one that is held back."""
        return path.endswith(self.path) and self._held.acquire(blocking=False)


@contextmanager
def holding(target: str, path: str) -> Iterator[Wire]:
    """Run the wire for the length of a block."""
    wire = Wire(target, path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if wire.is_held(self.path):
                wire.let_go.wait(60)
                _asked(wire, self, body)
                wire.arrived.set()
                return
            status, answer = _asked(wire, self, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    wire.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        wire.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _asked(wire: Wire, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
    request = urllib.request.Request(
        wire.target + handler.path,
        data=body if handler.command != "GET" else None,
        method=handler.command,
        headers={"Content-Type": handler.headers.get("Content-Type", "")},
    )
    try:
        with urllib.request.urlopen(request, timeout=180) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
