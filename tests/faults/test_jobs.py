"""Workers are killed at random and the broker is restarted: every accepted job has one result, and its web hook is called.

And R10 and S9 as callers see them: while RabbitMQ is short of memory, or gone, submissions are told at once to come again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

import services
import treadle as td
from hook_receiver import Receiver
from hostile_shop import PROJECT, land, visits
from pace import FULL, within
from treadle.core.errors import StoreUnavailable

#: Jobs, and after how many web hooks a worker is killed: not by the clock, so that a slow machine gets on.
JOBS, KILL_EVERY = (10_000, 100) if FULL else (40, 10)
PREDICT = "/v1/endpoints/buys/predict"
WORKER = [sys.executable, "-m", "treadle.app.cli.main", "worker", "--until-empty", "--most", "3"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a champion."""
    root = tmp_path_factory.mktemp("made")
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n')
    (root / "project.py").write_text(PROJECT)
    land(root, "a.csv", *visits(0, 400))
    with td.open(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run("buys")
    return root


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A RabbitMQ of our own, which the tests may kill."""
    with services.PrivateRabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["embedded", "rabbitmq"])
def test_every_accepted_job_has_one_result_and_its_web_hook_is_called(kind, project, tmp_path, request):
    root = tmp_path / "shop"
    shutil.copytree(project, root)
    given = {"jobs.allow": "127.0.0.1", "queue.lease": 2.0, "queue.crashes": 20, "queue.timeout": 2.0}
    if kind == "embedded":
        _run(root, given, broker=None)
        return
    broker = request.getfixturevalue("broker")
    made = monotonic()
    given["queue.url"] = f"{broker.url}/jobs"
    with td.open(root, overrides=given) as workspace:
        workspace.queue.state()
    # A queue that was made moments before the broker is killed elects no leader afterwards (RabbitMQ 3.10).
    threading.Event().wait(max(0.0, 5.0 - (monotonic() - made)))
    _run(root, given, broker=broker)


def _run(root: Path, given: dict, *, broker: services.PrivateRabbitMQ | None) -> None:
    variables = {f"TREADLE_{k.upper().replace('.', '__', 1)}": str(v) for k, v in given.items()}
    chance = random.Random(6)
    with Receiver(503, 500) as receiver, td.open(root, overrides=given) as workspace:
        submitting = threading.Thread(target=_submit, args=(workspace, receiver.url))
        submitting.start()
        restarts = [JOBS // 3, 2 * JOBS // 3] if broker else []
        kills = killed_at = 0
        worker = _start(root, variables)
        end = monotonic() + (3600 if FULL else 300)
        try:
            while worker.poll() is None or submitting.is_alive():
                assert monotonic() < end
                threading.Event().wait(chance.uniform(0.0, 0.4))
                if worker.poll() is not None and submitting.is_alive():  # it was empty for a moment
                    worker = _start(root, variables)
                if len(receiver.taken) >= killed_at + KILL_EVERY:
                    killed_at = len(receiver.taken)
                    kills += _kill_one(worker, chance)
                if broker and restarts and len(receiver.taken) > restarts[0]:
                    restarts.pop(0)
                    broker.kill()
                    broker.start()
            submitting.join()
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        ended = workspace.jobs.recent(limit=JOBS + 1)
        objects = list((root / ".treadle" / "objects" / "jobs").rglob("*"))

    assert {job.id for job in ended} == {f"j{n:05d}" for n in range(JOBS)}
    assert {job.state for job in ended} == {"done"}
    assert len({job.result for job in ended}) == JOBS
    assert sum(path.is_file() for path in objects) == 2 * JOBS  # an input and a result of each
    assert {job.hook.delivered_at is not None for job in ended} == {True}
    assert set(receiver.taken) == {f"{job.id}.done" for job in ended}
    assert kills > 0
    assert restarts == []


def _start(root: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    with (root / "worker.log").open("ab") as log:
        return subprocess.Popen(
            WORKER, cwd=root, env={**os.environ, **variables}, stderr=log, start_new_session=True
        )


def _submit(workspace: td.Workspace, hook: str) -> None:
    """Submit every job, again until it is accepted; a part of them twice."""

    def one(number: int) -> None:
        body = b'{"rows": [{"pages": %d}]}' % (number % 9)
        for _ in range(2 if number % 10 == 0 else 1):
            while True:
                try:
                    workspace.jobs.submit("buys", body, hook=hook, name=f"j{number:05d}")
                    break
                except StoreUnavailable:
                    threading.Event().wait(0.2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(JOBS)))


def _kill_one(supervisor: subprocess.Popen[bytes], chance: random.Random) -> int:
    """Kill a random worker, as with kill -9."""
    try:
        children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        if not children:
            return 0
        os.kill(int(chance.choice(children)), signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return 0
    return 1


@pytest.mark.slow
def test_r10_while_the_broker_is_short_of_memory_submissions_are_told_to_come_again(
    project, broker, tmp_path, record_testsuite_property
):
    """Twelve callers at once, as the settings are by default: none hangs, and predictions are answered meanwhile."""
    root = tmp_path / "shop"
    shutil.copytree(project, root)
    with _serving(root, TREADLE_QUEUE__URL=f"{broker.url}/alarm") as port:
        _until(lambda: _submitted(port)[0] == 202)
        broker.control("set_vm_memory_high_watermark", "0.0000001")
        try:
            _until(lambda: _submitted(port)[0] == 503)  # it takes the broker a moment to look at its memory
            with ThreadPoolExecutor(12) as pool:
                told = [
                    one for found in pool.map(lambda _: _refused(port, seconds=3), range(12)) for one in found
                ]
            predicted = _post(port, PREDICT)[0]
        finally:
            broker.control("set_vm_memory_high_watermark", "0.4")
        _until(lambda: _submitted(port)[0] == 202)

    slowest, refused = (
        max(seconds for *_, seconds in told),
        [retry for status, retry, _ in told if status == 503],
    )
    record_testsuite_property("r10_refused_seconds", round(slowest, 2))
    # Of each new connection the broker takes a message before it blocks it: that job is accepted.
    assert {status for status, *_ in told} <= {202, 503}
    assert len(refused) > len(told) / 2
    assert set(refused) == {"1"}
    assert slowest <= within(1, busy=2)
    assert predicted == 200


@pytest.mark.slow
def test_s9_while_the_broker_is_gone_predictions_are_answered_and_submissions_told_to_come_again(
    project, broker, tmp_path
):
    root = tmp_path / "shop"
    shutil.copytree(project, root)
    statuses, told = Counter(), []
    with _serving(root, TREADLE_QUEUE__URL=f"{broker.url}/gone") as port:
        _until(lambda: _submitted(port)[0] == 202)
        # A queue that was made moments before the broker is killed elects no leader afterwards (RabbitMQ 3.10).
        threading.Event().wait(5.0)
        broker.kill()
        end = monotonic() + (60 if FULL else 2)
        while monotonic() < end:
            statuses[_post(port, PREDICT)[0]] += 1
            told += _refused(port, seconds=0.1)
        broker.start()
        _until(lambda: _submitted(port)[0] == 202)

    assert set(statuses) == {200}
    assert {(status, retry) for status, retry, _ in told} == {(503, "1")}
    assert max(seconds for *_, seconds in told) <= within(1)


@contextmanager
def _serving(root: Path, **environment: str) -> Iterator[int]:
    """Serve a project; yield the port."""
    (port,) = services.free_ports(1)
    with (root / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*WORKER[:3], "serve", "--port", str(port)],
            cwd=root,
            env={**os.environ, **environment},
            stderr=log,
            start_new_session=True,
        )
    try:
        _until(lambda: _answers(port))
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(port: int) -> bool:
    try:
        return _post(port, PREDICT)[0] == 200
    except OSError:
        return False


def _submitted(port: int) -> tuple[int, str | None, float]:
    """Submit a job; return the status, what it says of coming again, and how many seconds that took."""
    begun = monotonic()
    return (*_post(port, "/v1/endpoints/buys/jobs"), monotonic() - begun)


def _refused(port: int, *, seconds: float) -> list[tuple[int, str | None, float]]:
    """Submit jobs one after the other, for some seconds."""
    end, told = monotonic() + seconds, []
    while monotonic() < end:
        told.append(_submitted(port))
    return told


def _post(port: int, path: str) -> tuple[int, str | None]:
    body = json.dumps({"rows": [{"pages": 3}]}).encode()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data=body, timeout=60) as answer:
            return answer.status, answer.headers["Retry-After"]
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, error.headers["Retry-After"]


def _until(holds: Callable[[], bool]) -> None:
    end = monotonic() + 120
    while not holds():
        assert monotonic() < end, "it never held"
        threading.Event().wait(0.1)
