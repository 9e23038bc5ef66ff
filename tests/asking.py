"""A server of a project in a process of its own, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from services import free_ports


@contextmanager
def server(root: Path) -> Iterator[int]:
    """Serve a project, and give the port as soon as it is ready."""
    number = free_ports(1)[0]
    command = [sys.executable, "-m", "treadle.app.cli.main", "serve", "-C", str(root), "--port", str(number)]
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while ask(number, "/readyz")[0] != 200:
            assert process.poll() is None, (root / "server.log").read_text()
            assert time.monotonic() < deadline, (root / "server.log").read_text()
        yield number
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def ask(port: int, path: str, body: object = None) -> tuple[int, Any]:
    """Return the status, 0 where nobody answers, and what is said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        text = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text)
        response = connection.getresponse()
        said = response.read()
    except OSError:
        return 0, {}
    finally:
        connection.close()
    return response.status, json.loads(said) if said.startswith(b"{") else {}


def asked(port: int, path: str, body: object = None) -> Any:
    """Return what is said, which must be an answer."""
    status, said = ask(port, path, body)
    assert status == 200, said
    return said


def eventually(read: Callable[[], pl.DataFrame], *, rows: int) -> pl.DataFrame:
    """Read until the log, which is written in the background, has so many rows."""
    deadline = time.monotonic() + 120
    while (found := read()).height < rows:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)  # the process that ships the log has the lowest priority of all
    return found
