"""A10 of the jobs' routes: whatever is sent to submit, list, poll, cancel or fetch is refused or answered, and what was accepted ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import polars as pl
import pytest

import byte_fuzz
import treadle as td
from pace import FULL
from services import free_ports

TREADLE = [sys.executable, "-m", "treadle.app.cli.main"]
JOBS = "/v1/endpoints/buys/jobs"
MAY = {"TREADLE_JOBS__FILES": "shared", "TREADLE_JOBS__DATASETS": "visits"}
#: Addresses that no hook may have here, or that are none.
HOOKS = [
    *(
        "http://127.0.0.1:1/",
        "http://[::ffff:127.0.0.1]/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1",
    ),
    *(
        "https://",
        "http://a@b@c/",
        "http://x:99999999/",
        "http://\u0000/",
        "//x",
        "http://" + "a" * 5000,
        "http://é.é/",
    ),
    *(
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "http://x\r\nHost: y/",
        "HTTP://[fe80::1%25eth0]/",
        "",
        "%",
    ),
]
#: Ids and numbers as they come in addresses.
ODD = [
    *(
        "%00",
        "%ff%fe",
        "%2e%2e%2f",
        "..",
        "%",
        "a" * 3000,
        "%0d%0a",
        "é",
        "%ed%a0%80",
        "-1",
        "1e3",
        "9" * 400,
        "nan",
    ),
    *(
        "%D9%A3",
        "null",
        "",
        "0x1",
        "9223372036854775808",
        "json",
        "parquet",
        "done",
        "'; drop table jobs;--",
        "1_0",
        "+5",
    ),
]
ROWS = {"rows": [{"pages": 3}, {"pages": 7}]}


def submissions() -> list[tuple[str, dict[str, str], bytes]]:
    """Return submissions that are right."""
    text = {"Content-Type": "application/json"}
    bodies: list[dict[str, object]] = [
        ROWS,
        {**ROWS, "id": "again", "subject": "p"},
        {"columns": {"pages": [1, 2]}, "keys": [{"a": 1}, {"a": 2}]},
        {"from": {"rows": {"dataset": "visits", "version": 1, "split": "test"}}, "id": "of-rows"},
        {"from": {"files": "*.parquet", "keep": ["visit"]}, "id": "of-files"},
    ]
    return [(JOBS, text, json.dumps(body).encode()) for body in bodies]


def hooked() -> list[tuple[str, dict[str, str], bytes]]:
    """Return submissions with hooks that may not be called."""
    text = {"Content-Type": "application/json"}
    return [(JOBS, text, json.dumps({**ROWS, "hook": hook}).encode()) for hook in HOOKS]


def looks(names: list[str], odd: list[str]) -> list[tuple[str, dict[str, str], bytes]]:
    """Return requests that look at jobs or cancel them: of each name, with what may stand in an address."""
    get = {":method": "GET"}
    found = [
        (f"{JOBS}?{key}={quote(one, safe='%')}", get, b"")
        for key in ("state", "limit", "before")
        for one in odd
    ]
    for name in names + odd:
        job = f"{JOBS}/{quote(name, safe='%')}"
        found += [(job, get, b""), (f"{job}/cancel", {}, b"{}"), (f"{job}/result", get, b"")]
        found += [
            (f"{job}/result?{key}={quote(one, safe='%')}", get, b"")
            for key in ("offset", "limit")
            for one in odd[::4]
        ]
    parts = [
        f"{JOBS}/{name}/result?format=parquet&part={quote(one, safe='%')}" for name in names for one in odd
    ]
    return found + [(path, get, b"") for path in parts]


@pytest.fixture(scope="module")
def root(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with files that may be scored, and jobs that are done, cancelled and waiting."""
    root = tmp_path_factory.mktemp("fuzzed") / "shop"
    shutil.copytree(made, root)
    (root / "shared").mkdir()
    pl.DataFrame({"visit": ["a", "b"], "pages": [3, 7]}).write_parquet(root / "shared" / "in.parquet")
    with td.open(root, overrides={"jobs.files": "shared", "jobs.datasets": "visits"}) as workspace:
        workspace.jobs.submit("buys", json.dumps(ROWS).encode(), name="done")
        workspace.jobs.submit("buys", b'{"from": {"files": "*.parquet"}}', name="done-in-parts")
    worked(root)
    with td.open(root) as workspace:
        for name in ("cancelled", "waiting"):
            workspace.jobs.submit("buys", json.dumps(ROWS).encode(), name=name)
        workspace.jobs.cancel("cancelled")
    return root


def worked(root: Path) -> str:
    """Let a worker do all jobs that wait; return what it said."""
    said = subprocess.run(
        [*TREADLE, "worker", "--until-empty", "--most", "1"],
        cwd=root,
        env={**os.environ, **MAY},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    return said.stderr


@pytest.fixture
def port(root: Path):
    """A server of the project."""
    (port,) = free_ports(1)
    command = [*TREADLE, "serve", "--port", str(port)]
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, env={**os.environ, **MAY}, start_new_session=True, stderr=log
        )
    end = monotonic() + 60
    while not _ready(port):
        assert process.poll() is None, (root / "server.log").read_text()
        assert monotonic() < end
        threading.Event().wait(0.05)
    yield port
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_a10_requests_about_jobs_are_refused_or_answered_and_what_is_accepted_ends(
    root: Path, port: int
) -> None:
    fuzzer = byte_fuzz.Fuzzer(port, 5)
    looked = looks(["done", "done-in-parts", "cancelled", "waiting", "again"], ODD)

    for _ in range(20_000 if FULL else 500):
        given = submissions() if fuzzer.draw.random() < 0.6 else looked
        fuzzer.send(byte_fuzz.make(fuzzer.draw, given))
    for path, headers, body in looked[:: 1 if FULL else 5]:
        fuzzer.send(_plain(path, headers, body))

    log = (root / "server.log").read_text()
    assert not fuzzer.failed, (fuzzer.failed[:3], log[-3000:])
    assert set(fuzzer.statuses) <= STATUSES, fuzzer.statuses
    assert {200, 202, 400, 404, 409} <= set(fuzzer.statuses), fuzzer.statuses
    assert "Traceback" not in log
    assert "Traceback" not in worked(root)
    with td.open(root) as workspace:
        states = {job.state for job in workspace.jobs.recent(limit=100_000)}
        assert workspace.queue.state() == (0, 0, 0)
    assert states <= {"done", "failed", "cancelled"}
    assert {"done", "cancelled"} <= states
    # A damaged address may be a public one: no worker calls what these ask for.
    for _ in range(5_000 if FULL else 100):
        fuzzer.send(byte_fuzz.make(fuzzer.draw, hooked()))
    assert not fuzzer.failed, (fuzzer.failed[:3], (root / "server.log").read_text()[-3000:])
    assert set(fuzzer.statuses) <= STATUSES, fuzzer.statuses


STATUSES = {0, 200, 202, 400, 401, 404, 405, 408, 409, 413, 414, 415, 417, 421, 431, 499}


def _plain(path: str, headers: dict[str, str], body: bytes) -> bytes:
    method = headers.get(":method", "POST")
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
