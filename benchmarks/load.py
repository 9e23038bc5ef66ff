"""A server under load, and the CPU that it spends on each request. Standard library only: peers use it too."""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 180.0
_SILENCE = 60.0
#: Stands for the length of an answer that comes in chunks.
_CHUNKED = 1 << 62


@dataclass(frozen=True)
class Drive:
    """What a stretch of load has shown; every request that was sent has been answered when it ends."""

    requests: int
    seconds: float
    #: Seconds from the sending of each request to the end of its answer, sorted.
    latencies: list[float]
    #: CPU seconds of the server's processes.
    cpu: float

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds of the server for each request."""
        return self.cpu / self.requests * 1e3

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds

    def quantile(self, share: float) -> float:
        """Return the latency, in milliseconds, within which this share of requests was answered."""
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))] * 1e3


class Server:
    """A server process in a process group of its own, whose CPU and memory are read from /proc."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        ready: str,
        cwd: Path,
        env: Mapping[str, str],
        body: bytes | None = None,
    ) -> None:
        """Start it, and wait until the path `ready` is answered with 200, to GET, or to POST where there is a body."""
        self.port = port
        # Where a server keeps its workers in process groups of their own, they are still in its session.
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
        )
        end = time.monotonic() + _START_SECONDS
        while not self._answers(ready, body):
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                msg = f"{' '.join(command)[:300]} did not become ready (status {self._process.returncode}); BENCH_VERBOSE=1 shows why"
                raise RuntimeError(msg)
            time.sleep(0.02)
        #: CPU seconds from nothing to the first answer.
        self.start_cpu = self.cpu()

    def drive(
        self,
        path: str,
        body: bytes,
        *,
        requests: int,
        concurrency: int = 1,
        headers: Mapping[str, str] | None = None,
        seconds: float = 120.0,
    ) -> Drive:
        """Send requests over so many connections, each the next when its last one is answered; at most for so long."""
        message = _message(self.port, path, body, headers or {"content-type": "application/json"})
        _closed_loop(self.port, message, max(concurrency, requests // 10), concurrency, seconds / 10)
        before, began = self.cpu(), time.monotonic()
        latencies = _closed_loop(self.port, message, requests, concurrency, seconds)
        took = time.monotonic() - began
        return Drive(len(latencies), took, sorted(latencies), self.cpu_since(before))

    def cpu_per_request(self, path: str, body: bytes, *, requests: int) -> float:
        """Send requests one after the other over one connection, and return CPU milliseconds for each."""
        return self.drive(path, body, requests=requests).cpu_ms

    def memory(self, *, beside: str = "") -> float:
        """Return the megabytes that its largest process holds: what it shares with others counts in part.

        A process in whose command line `beside` stands is not looked at.
        """
        looked = [
            folder
            for folder in self.folders()
            if not beside or beside not in (folder / "cmdline").read_bytes().decode()
        ]
        return max((_pss(folder) for folder in looked), default=0.0)

    def memory_of_all(self) -> float:
        """Return the megabytes that all its processes hold together."""
        return sum(_pss(folder) for folder in self.folders())

    def close(self) -> None:
        """End its whole session."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            for folder in self.folders() if how is signal.SIGKILL else [Path(f"/proc/{self._process.pid}")]:
                try:
                    os.kill(int(folder.name), how)
                except ProcessLookupError:
                    continue
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                continue
        for folder in self.folders():
            try:
                os.kill(int(folder.name), signal.SIGKILL)
            except ProcessLookupError:
                continue

    def cpu(self) -> float:
        """Return the CPU seconds of all its processes, also of those that have ended."""
        # Of children that have ended, only the parent knows; so none is counted twice.
        ticks = sum(int(part) for folder in self.folders() for part in _stat(folder)[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def cpu_since(self, before: float) -> float:
        """Return the CPU seconds since an earlier reading; at least one tick of the kernel, which tells no less."""
        return max(self.cpu() - before, 1 / os.sysconf("SC_CLK_TCK"))

    def folders(self) -> list[Path]:
        """Return the folders in /proc of the processes of its session, and of those that these have started."""
        stats = {
            int(folder.name): _stat(folder) for folder in Path("/proc").iterdir() if folder.name.isdigit()
        }
        parents = {pid: int(fields[1]) for pid, fields in stats.items() if fields}
        found = {pid for pid, fields in stats.items() if fields and int(fields[3]) == self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return [Path(f"/proc/{pid}") for pid in sorted(found)]

    def _answers(self, path: str, body: bytes | None) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, body, {"content-type": "application/json"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _message(port: int, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Connection:
    """One kept-alive connection with at most one request in flight."""

    __slots__ = ("_got", "_wanted", "began", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began, self._got, self._wanted = 0.0, b"", -1

    def send(self, message: bytes) -> None:
        self._got, self._wanted = b"", -1
        self.began = time.perf_counter()
        self.socket.sendall(message)

    def receive(self) -> bool:
        """Take what has come; return whether the answer is complete."""
        piece = self.socket.recv(262_144)
        if not piece:
            msg = f"the server hung up behind {self._got[:300]!r}"
            raise RuntimeError(msg)
        self._got = self._got + piece if self._got else piece
        if self._wanted < 0:
            self._read_head()
        if self._wanted == _CHUNKED:
            return self._got.endswith(b"\r\n0\r\n\r\n")
        return 0 <= self._wanted <= len(self._got)

    def _read_head(self) -> None:
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._got[:end].lower()
        at = head.find(b"content-length:")
        if head[9:12] == b"200" and b"transfer-encoding: chunked" in head:
            self._wanted = _CHUNKED
            return
        if head[9:12] != b"200" or at < 0:
            msg = f"the server answered {self._got[:500]!r}"
            raise RuntimeError(msg)
        self._wanted = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])


def _closed_loop(port: int, message: bytes, requests: int, concurrency: int, seconds: float) -> list[float]:
    """Keep so many requests in flight until enough are answered; return when none is in flight any more."""
    connections = {}
    poll = select.epoll()
    try:
        for _ in range(min(concurrency, requests)):
            connection = _Connection(port)
            connections[connection.socket.fileno()] = connection
            poll.register(connection.socket.fileno(), select.EPOLLIN)
        return _answered(poll, connections, message, requests, time.perf_counter() + seconds)
    finally:
        poll.close()
        for connection in connections.values():
            connection.socket.close()


def _answered(
    poll: select.epoll, connections: Mapping[int, _Connection], message: bytes, requests: int, end: float
) -> list[float]:
    found: list[float] = []
    for connection in connections.values():
        connection.send(message)
    sent = len(connections)
    while len(found) < sent:
        events = poll.poll(_SILENCE)
        if not events:
            msg = f"the server has said nothing for {_SILENCE:g} s"
            raise RuntimeError(msg)
        for number, _ in events:
            connection = connections[number]
            if connection.receive():
                now = time.perf_counter()
                found.append(now - connection.began)
                if sent < requests and now < end:
                    connection.send(message)
                    sent += 1
    return found


def _pss(process: Path) -> float:
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), 0.0)


def _stat(process: Path) -> list[str]:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
