"""A real server process over fake models, as tests start, kill and stop it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter

import serving_load


class Server:
    """A server process; `kill` takes it down with its workers, as a power cut would."""

    def __init__(self, root: Path, **options) -> None:
        self.root = root
        self.port = options.setdefault("port", free_port())
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> float:
        """Start it; return seconds until it was ready."""
        begun = perf_counter()
        wiring = Path(__file__).with_name("serving_wiring.py")
        with (self.root / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(wiring), str(self.root), json.dumps(self.options)],
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        if wait:
            self.wait_ready()
        return perf_counter() - begun

    def wait_ready(self, *, timeout: float = 60.0) -> None:
        end = perf_counter() + timeout
        while perf_counter() < end:
            try:
                if serving_load.call(self.port, "/readyz", timeout=2)[0] == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, (self.root / "server.log").read_text()
            threading.Event().wait(0.02)
        raise AssertionError("not ready: " + (self.root / "server.log").read_text())

    def call(self, path, body=None, **more):
        return serving_load.call(self.port, path, body, **more)

    def children(self) -> tuple[list[int], list[int]]:
        """Return the process ids of the workers, and those of the process that ships their log."""
        workers, shipping = [], []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for pid in map(int, path.read_text().split()):
                with suppress(FileNotFoundError):
                    ships = b"--ship" in Path(f"/proc/{pid}/cmdline").read_bytes()
                    (shipping if ships else workers).append(pid)
        return sorted(workers), shipping

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        if self.process is None or self.process.poll() is not None:
            return -1
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def launching(root: Path):
    """Start servers over a folder; they end with the block."""
    started = []

    def start(*, wait: bool = True, **options) -> Server:
        server = Server(root, **options)
        started.append(server)
        server.start(wait=wait)
        return server

    try:
        yield start
    finally:
        for server in started:
            if server.process and server.process.poll() is None:
                server.kill()
