"""Answers 503 in the place of workers that crash again and again, so that callers and probes do not wait for nobody."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import msgspec

_LOOK, _PATIENCE = 0.1, 0.5
_LONGEST_HEAD, _LONGEST_BODY = 64 * 1024, 64 * 1024 * 1024


class StandIn:
    """A thread that accepts connections and refuses each request, while it is on."""

    def __init__(self, listener: socket.socket, problems: Callable[[], list[str]]) -> None:
        """Prepare it; `problems` says why nobody answers."""
        self._listener, self._problems = listener, problems
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, where it has not."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="treadle-standin", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, and leave connections to others."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._listener], [], [], _LOOK)[0]:
                continue
            with suppress(OSError):
                connection, _ = self._listener.accept()
                with connection:
                    self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        path = _take(connection)
        alive = path.split(b" ")[1:2] in ([b"/livez"], [b"/v2/health/live"])
        told: dict[str, object] = {"live": True} if alive else {"ready": False, "problems": self._problems()}
        if not alive and b"/readyz" not in path:
            told = {"error": {"message": "; ".join(self._problems()) or "No worker answers."}}
        body = msgspec.json.encode(told)
        first = "200 OK" if alive else "503 Service Unavailable\r\nretry-after: 5"
        head = f"HTTP/1.1 {first}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)


def _take(connection: socket.socket) -> bytes:
    """Read a request and return its first line; what is not read would reset the connection before the answer is."""
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _LONGEST_HEAD:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    head, _, begun = data.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0].strip()
    left = min(int(length), _LONGEST_BODY) - len(begun) if length.isdigit() else 0
    while left > 0:
        piece = connection.recv(65536)
        if not piece:
            break
        left -= len(piece)
    return head.split(b"\r\n")[0]
