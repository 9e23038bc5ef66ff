"""A real Prometheus on loopback, and its tool; both come with Debian's package `prometheus`."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services import free_ports


def program(name: str) -> str:
    """Return where a program of Prometheus is, or skip: make cannot install it, and no wheel on PyPI holds it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"No {name} is installed: apt-get install prometheus")
    return str(found)


def checked(what: str, *given: str, text: str | None = None) -> None:
    """Let promtool check metrics, rules or a configuration; it must have nothing to say."""
    done = subprocess.run(
        [program("promtool"), "check", what, *given], input=text, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert what != "metrics" or not done.stdout + done.stderr, done.stdout + done.stderr


class Prometheus:
    """A server that scrapes and evaluates rules."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.port, self._process, self._log = port, process, log

    def get(self, path: str, **given: str) -> Any:
        """Return what the API says, as plain values."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(given)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{given}: {error.read().decode()}") from error

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of an expression now."""
        found: list[dict[str, Any]] = self.get("query", query=expr)["result"]
        return found

    def alerts(self) -> dict[tuple[str, str], str]:
        """Return the state of each active alert by name and window."""
        return {
            (one["labels"]["alertname"], one["labels"].get("window", "")): one["state"]
            for one in self.get("alerts")["alerts"]
        }

    def wait_until(self, holds: Any, *, seconds: float = 120.0) -> None:
        """Wait for a condition."""
        end = time.monotonic() + seconds
        while not holds():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, f"{self.alerts()} {self._log.read_text()[-2000:]}"
            time.sleep(0.1)


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[Prometheus]:
    """Run a Prometheus with a configuration for the length of a block."""
    port, log = free_ports(1)[0], folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        server = Prometheus(port, process, log)
        server.wait_until(lambda: _answers(port))
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
            return True
    except OSError:
        return False
