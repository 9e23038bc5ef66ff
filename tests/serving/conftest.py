"""What the tests of serving share: a ledger, tables, and a real server process over fake models."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import pytest

from treadle.core.clock import ManualClock, SystemClock
from treadle.core.records import Variant
from treadle.serving.endpoints import Endpoints
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

sys.path.insert(0, str(Path(__file__).parent))

import serving_load


@pytest.fixture
def clock():
    return ManualClock(datetime(2013, 2, 1, 12, tzinfo=UTC))


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger.open("sqlite:///ledger.db", root=tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture
def endpoints(ledger, clock):
    return Endpoints(ledger, clock)


@pytest.fixture
def tables(tmp_path):
    return Tables.open("tables", root=tmp_path, options={})


@pytest.fixture
def revise(endpoints):
    """Make a revision of the endpoint `delay` from (name, version, weight)."""

    def make(*variants, name="delay"):
        made = [Variant(name=n, model="delay", version=v, weight=w) for n, v, w in variants]
        return endpoints.revise(name, made, actor="test", reason="asked for", expected=None)

    return make


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

    def wait_ready(self, *, timeout: float = 20.0) -> None:
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

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        if self.process is None or self.process.poll() is not None:
            return -1
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
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


@pytest.fixture
def launch(tmp_path):
    """Start servers that end with the test."""
    with launching(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server of two variants that the tests of a file share; they leave it as it was."""
    root = tmp_path_factory.mktemp("shared")
    ledger = Ledger.open("sqlite:///ledger.db", root=root)
    variants = [
        Variant(name=n, model="delay", version=v, weight=0.5) for n, v in (("champion", 7), ("challenger", 8))
    ]
    endpoints = Endpoints(ledger, SystemClock())
    endpoints.revise("delay", variants, actor="test", reason="asked for", expected=0)
    alone = [Variant(name="champion", model="delay", version=7)]
    endpoints.revise("fares", alone, actor="test", reason="asked for", expected=0)
    with launching(root) as start:
        server = start(durability="sync", max_body=100_000, max_rows=1_000)
        server.endpoints = endpoints
        server.tables = Tables.open("tables", root=root, options={})
        yield server
    ledger.close()
