"""A rollout as people run it: `treadle serve`, `treadle watch`, callers, and outcomes that say the challenger is worse."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import tiny

from pace import within
from treadle.app.workspace import Workspace, open_workspace

CASE = "buys"
#: Seconds within which a guard that reads the log rolls back, from the moment at which there is enough to judge by.
LIMIT = 30.0


@contextmanager
def running(root: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `treadle` command, ended with the block."""
    with (root / f"{words[0]}.log").open("ab") as log:
        command = [sys.executable, "-m", "treadle.app.cli.main", *words, "-C", str(root)]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def project(root: Path) -> Iterator[Workspace]:
    """A project whose second version says the opposite of the truth."""
    file = root / "project.py"
    plan = 'td.Rollout(steps=[0.5], bake="1h", guards=[td.guards.Errors(), td.guards.Outcome("log_loss")])'
    file.write_text(
        file.read_text().replace("NewRows(500)]", f'NewRows(500)], action="canary", rollout={plan}')
    )
    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run(CASE)
        tiny.feel(root, "backwards")
        tiny.land(root, 1)
        workspace.run(CASE)
        yield workspace


def ask(connection: http.client.HTTPConnection, path: str, body: object) -> dict[str, object]:
    connection.request("POST", f"/v1/endpoints/{CASE}/{path}", json.dumps(body).encode())
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return dict(json.loads(text))


def callers(port: int, stop: threading.Event, seen: list[tuple[float, str]]) -> None:
    """Ask about visitors, and report soon after what they did."""
    random, number = np.random.default_rng(7), 0
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        while not stop.is_set():
            number = turn(connection, random, number, seen)


def turn(
    connection: http.client.HTTPConnection,
    random: np.random.Generator,
    number: int,
    seen: list[tuple[float, str]],
) -> int:
    """Ask ten times and report what happened; return the number of the last one."""
    outcomes = []
    for _ in range(10):
        number += 1
        pages, minutes = random.normal(size=2)
        row = {"pages": float(pages), "minutes": float(minutes)}
        answer = ask(connection, "predict", {"rows": [row], "id": f"r{number}", "subject": f"user-{number}"})
        seen.append((perf_counter(), str(answer["variant"])))
        bought = bool(random.random() < 1 / (1 + np.exp(-(1.5 * pages - minutes))))
        outcomes.append({"prediction_id": f"r{number}-0", "value": bought})
    ask(connection, "outcomes", {"outcomes": outcomes})
    return number


@pytest.mark.slow
def test_a_challenger_whose_outcomes_are_worse_is_rolled_back(
    project: Workspace, root: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    stop, seen = threading.Event(), list[tuple[float, str]]()
    project.rolling.start(f"{CASE}/2", reason="to be tried")

    with running(root, "serve", "--port", str(port)), running(root, "watch"):
        _until(lambda: _ready(port), timeout=180)
        asking = threading.Thread(target=callers, args=(port, stop, seen))
        asking.start()
        try:
            _until(lambda: project.rollouts.get(CASE).status != "running", timeout=300)
            ended = perf_counter()
        finally:
            stop.set()
            asking.join()

    last = project.rollouts.get(CASE).history[-1]
    enough = [at for at, variant in seen if variant == "challenger"][199]
    record_testsuite_property("outcome_guard_seconds", round(ended - enough, 1))
    assert (last.what, last.actor) == ("rolled back", "guard outcome"), last.reason
    assert ended - enough <= within(LIMIT, busy=4)
    assert [v.version for v in project.endpoints.get(CASE).variants] == [1]


def _ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection, suppress(OSError):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def _until(holds: Callable[[], bool], *, timeout: float) -> None:
    end = perf_counter() + timeout
    while not holds():
        assert perf_counter() < end, "it never held"
        threading.Event().wait(0.1)
