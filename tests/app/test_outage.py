"""S9 with the real thing: the registry's database and the bucket with its packages go away under a server of the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import polars as pl
import pytest

import services
import treadle as td
from cable import Cable
from hostile_shop import PROJECT, land, visits
from pace import FULL

AWAY, CALLERS = (60.0, 4) if FULL else (4.0, 2)


class Calls:
    """Callers that ask one after the other, and what each was answered."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/endpoints/buys/predict"
        self._ended, self._lock = threading.Event(), threading.Lock()
        self.statuses: Counter[int] = Counter()
        self.acked: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CALLERS)]

    def __enter__(self) -> Calls:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, caller: int) -> None:
        number = 0
        while not self._ended.wait(0.01):
            name, number = f"s9-{caller}-{number}", number + 1
            status = self._ask(name)
            with self._lock:
                self.statuses[status] += 1
                if status == 200:
                    self.acked.append(name)

    def _ask(self, name: str) -> int:
        body = json.dumps({"id": name, "rows": [{"pages": 3}]}).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self._url, data=body), timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


def until(holds, seconds: float = 90.0) -> float:
    """Wait until something holds; return how long that took."""
    begun = monotonic()
    while not holds():
        assert monotonic() - begun < seconds, "it never held"
        threading.Event().wait(0.1)
    return monotonic() - begun


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0] == name)


def revision(port: int) -> int:
    """Return the revision that a server answers with; 0: it does not yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/endpoints/buys", timeout=30) as answer:
            return int(json.load(answer)["revision"])
    except (OSError, KeyError, TypeError):
        return 0


@contextmanager
def serving(root: Path, environment: dict[str, str]) -> Iterator[int]:
    (port,) = services.free_ports(1)
    command = [sys.executable, "-m", "treadle.app.cli.main", "serve", "-C", str(root), "--port", str(port)]
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
    try:
        until(lambda: process.poll() is None and revision(port))
        yield port
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (root / "server.log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_s9_without_its_registry_a_server_answers_with_what_it_has_loaded_and_loses_no_row(
    seaweed: services.Seaweed, tmp_path: Path, record_testsuite_property
) -> None:
    bucket = seaweed.bucket()
    cable = Cable(int(seaweed.options["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    root = tmp_path / "shop"
    root.mkdir()
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n')
    (root / "project.py").write_text(PROJECT)
    land(root, "a.csv", *visits(0, 400))
    with services.PrivatePostgres() as database:
        environment = {
            **seaweed.options,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{cable.port}",
            "TREADLE_LEDGER__URL": database.url,
            "TREADLE_LEDGER__TIMEOUT": "3",
            "TREADLE_OBJECTS__URL": f"s3://{bucket}/objects",
            "TREADLE_TABLES__URL": f"s3://{bucket}/tables",
            "TREADLE_COMPUTE__ENGINE": "inline",
            "TREADLE_SERVING__POLL_INTERVAL": "0.2",
            "TREADLE_SERVING__FLUSH_INTERVAL": "0.1",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            with td.open(root) as workspace:
                workspace.run("buys")
            with serving(root, environment) as port, Calls(port) as calls:
                until(lambda: len(calls.acked) > 20)
                cable.cut()
                database.kill()
                before = len(calls.acked)
                threading.Event().wait(AWAY)
                during = len(calls.acked) - before
                spooled, reachable = (
                    metric(port, "treadle_log_spooled_bytes"),
                    metric(port, "treadle_ledger_reachable"),
                )
                database.start()
                cable.mend()
                with td.open(root) as workspace:
                    workspace.revise(
                        "buys", {"variants": [{"name": "champion", "version": "buys/1"}]}, reason="it is back"
                    )
                back = until(lambda: revision(port) == 2)
            with td.open(root) as workspace:
                rows = workspace.tables.scan("predictions/buys").select("request_id").collect()
    cable.close()

    assert set(calls.statuses) == {200}
    assert during > 10 * AWAY
    assert (reachable, spooled > 0) == (0.0, True)
    assert sorted(rows["request_id"]) == sorted(calls.acked)
    assert rows.select(pl.col("request_id").is_duplicated().any()).item() is False
    record_testsuite_property("s9_registry_answered", len(calls.acked))
    record_testsuite_property("s9_registry_answered_while_away", during)
    record_testsuite_property("s9_registry_back_seconds", round(back, 2))
