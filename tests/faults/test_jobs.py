"""Workers are killed at random and the broker is restarted: every accepted job has one result, and its web hook is called."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

import services
import treadle as td
from hook_receiver import Receiver
from hostile_shop import PROJECT, land, visits
from pace import FULL
from treadle.core.errors import StoreUnavailable

#: Jobs, and after how many web hooks a worker is killed: not by the clock, so that a slow machine gets on.
JOBS, KILL_EVERY = (10_000, 100) if FULL else (40, 10)
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


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", ["embedded", "rabbitmq"])
def test_every_accepted_job_has_one_result_and_its_web_hook_is_called(kind, project, tmp_path):
    root = tmp_path / "shop"
    shutil.copytree(project, root)
    given = {"jobs.allow": "127.0.0.1", "queue.lease": 2.0, "queue.crashes": 20, "queue.timeout": 2.0}
    if kind == "embedded":
        _run(root, given, broker=None)
        return
    with services.PrivateRabbitMQ(tmp_path / "broker") as broker:
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
