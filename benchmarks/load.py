"""A server under load, and the CPU that it spends on each request. Standard library only: peers use it too."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_START_SECONDS = 60.0


class Server:
    """A server process in a process group of its own, whose CPU is read from /proc."""

    def __init__(
        self, command: Sequence[str], *, port: int, ready: str, cwd: Path, env: Mapping[str, str]
    ) -> None:
        """Start it, and wait until the path `ready` is answered with 200."""
        self.port = port
        self._process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **env}, start_new_session=True, stdout=subprocess.DEVNULL
        )
        end = time.monotonic() + _START_SECONDS
        while not self._answers(ready):
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                msg = f"{command[0]} did not become ready (status {self._process.returncode})"
                raise RuntimeError(msg)
            time.sleep(0.05)

    def cpu_per_request(self, path: str, body: bytes, *, requests: int) -> float:
        """Send requests one after the other over one connection, and return CPU milliseconds for each."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        self._send(connection, path, body, requests // 10)
        before = self._cpu()
        self._send(connection, path, body, requests)
        return (self._cpu() - before) / requests * 1e3

    def close(self) -> None:
        """End the whole group."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, how)
            except ProcessLookupError:
                break
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                continue

    def _send(self, connection: http.client.HTTPConnection, path: str, body: bytes, requests: int) -> None:
        for _ in range(requests):
            connection.request("POST", path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                msg = f"{path} answered {answer.status}: {text[:300]!r}"
                raise RuntimeError(msg)

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _cpu(self) -> float:
        ticks = 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                fields = _stat(folder)
                if fields and int(fields[2]) == self._process.pid:
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stat(process: Path) -> list[str]:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
