"""R5: a ledger that goes away and comes back costs time, and nothing else."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import restarts
import tiny
from facts import differences, facts
from sqlalchemy import Connection
from test_kills import assert_no_finished_training_was_begun_again

import services
from receiver import Receiver
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import StoreUnavailable
from treadle.core.settings import as_environment
from treadle.store.ledger.ledger import Ledger

HERE = Path(__file__).parent
#: Turns of each model while the database is killed again and again.
TURNS = 50


@pytest.mark.slow
def test_r5_two_hundred_turns_while_the_database_is_killed_again_and_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    chance = random.Random(5)
    root = restarts.make(tmp_path / "shops")
    with services.PrivatePostgres() as server:
        settings = {
            "ledger.url": server.url,
            "ledger.timeout": "2",
            "compute.engine": "inline",
            "alerts.webhook": f"{receiver.url}/shops",
        }
        with open_workspace(root, overrides=settings) as workspace:
            workspace.ledger.revision()
        environment = {**os.environ, **as_environment(settings), **tiny.ONE_THREAD}
        workers = [
            subprocess.Popen(
                [sys.executable, str(HERE / "restarts.py"), str(root), model, str(TURNS)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for model in restarts.MODELS
        ]
        kills = 0
        while not _ended(workers, within=chance.uniform(5, 10)):
            server.kill()
            _ended(workers, within=chance.uniform(0, 3))
            server.start()
            kills += 1
        said = [worker.communicate()[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * len(workers), said
        assert "Busy" not in "".join(said), "a process was shut out by a lease of its own"
        with open_workspace(root, overrides=settings) as workspace:
            for model, action in restarts.MODELS.items():
                check_shop(workspace, model, action)
            assert_no_finished_training_was_begun_again(workspace, root)
            alerts = workspace.alerts.open()
    assert {f"{alert.id}.raised" for alert in alerts} == set(receiver.got["/shops"])
    assert len(alerts) == TURNS * list(restarts.MODELS.values()).count("alert")
    assert kills > 1


def check_shop(workspace: Workspace, model: str, action: str) -> None:
    """Each turn has left one of everything."""
    numbers = list(range(1, TURNS + 1))
    runs = workspace.runs.list(model=model, limit=1000)[::-1]
    assert [run.status for run in runs] == ["succeeded"] * TURNS
    assert [run.model_version for run in runs] == numbers
    assert [run.data for run in runs] == [{f"visits_{model}": number} for number in numbers]
    assert [(v.version, v.run) for v in workspace.models.versions(model)] == [
        (number, run.id) for number, run in zip(numbers, runs, strict=True)
    ]
    moved = [(found.version, found.actor) for found in workspace.models.history(model, "champion")]
    revised = [r.revision for r in workspace.endpoints.revisions(model)] if action == "replace" else []
    assert moved == ([(run.model_version, run.id) for run in runs] if action == "replace" else [])
    assert revised == (numbers if action == "replace" else [])
    assert all(len(workspace.verdicts.list(run=run.id)) == 1 for run in runs)
    rows = workspace.datasets.read(f"visits_{model}")
    assert rows.height == rows["visit_id"].n_unique() == restarts.FIRST + restarts.LATER * (TURNS - 1)
    assert not any((workspace.root / ".treadle" / "runs").iterdir())


def _ended(workers: list[subprocess.Popen[str]], *, within: float) -> bool:
    """Wait for all workers to end, for some seconds at most; return whether they have."""
    deadline = time.monotonic() + within
    for worker in workers:
        try:
            worker.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            return False
    return True


@pytest.mark.slow
def test_r5_a_commit_whose_answer_was_lost_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, problems, number = None, {}, 0
    while whole is None or number:
        with open_workspace(
            tiny.make(tmp_path / f"{number}"), overrides={"compute.engine": "inline"}
        ) as workspace:
            with monkeypatch.context() as patch:
                lost = LosesAnAnswer(patch, number)
                with suppress(StoreUnavailable):
                    workspace.run("buys")
            turn = workspace.run("buys")
            found = json.loads(json.dumps(facts(workspace)))
        whole = whole or found
        if differences(found, whole) or turn.run.status != "succeeded":
            problems[number] = differences(found, whole)
        number = number + 1 if lost.commits >= number else 0

    assert len(list(tmp_path.iterdir())) > 10
    assert problems == {}


class LosesAnAnswer:
    """A ledger that commits, and is gone before it can say so, at one commit."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int) -> None:
        self.commits = 0
        whole, loses = Ledger._transaction, self

        @contextmanager
        def transaction(self: Ledger, *, writes: bool, start: Any) -> Iterator[Connection]:
            with whole(self, writes=writes, start=start) as connection:
                yield connection
            loses.commits += writes
            if writes and loses.commits == number:
                msg = "the answer was lost"
                raise StoreUnavailable(msg)

        patch.setattr(Ledger, "_transaction", transaction)


@pytest.mark.slow
def test_r5_a_training_that_loses_its_database_goes_on_with_the_same_run(tmp_path: Path) -> None:
    root = tiny.make(tmp_path / "shop")
    tiny.feel(root, "waits")
    with services.PrivatePostgres() as server:
        settings = {"ledger.url": server.url, "ledger.timeout": "1"}
        with open_workspace(root, overrides=settings) as workspace:
            workspace.ledger.revision()
        process = treadle("run", root=root, settings=settings)
        _wait_for(root, "begun", process)
        server.kill()
        (root / "go").touch()
        _wait_for(root, "tried", process)
        server.start()
        (root / "on").touch()
        said, _ = process.communicate(timeout=60)

        with open_workspace(root, overrides=settings | {"compute.engine": "inline"}) as workspace:
            turn = workspace.run("buys")
            runs = workspace.runs.list()

    assert process.returncode == 5, said
    assert "does not answer" in said
    assert [(run.id, run.status, run.attempts) for run in runs] == [(turn.run.id, "succeeded", 2)]
    assert {run for run, _, _ in tiny.trainings(root)} == {turn.run.id}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_r5_the_watcher_rides_out_a_database_restart(tmp_path: Path, receiver: Receiver) -> None:
    root = tiny.make(tmp_path / "shop")
    with services.PrivatePostgres() as server:
        settings = {
            "ledger.url": server.url,
            "ledger.timeout": "1",
            "compute.engine": "inline",
            "alerts.webhook": f"{receiver.url}/watch",
        }
        process = treadle("watch", "--interval", "1s", root=root, settings=settings)
        first = _read_until(process, "version 1 is the champion")
        server.kill()
        # The first may come from the middle of a look; the second tick begins without a ledger.
        told = _read_until(process, "does not answer") + _read_until(process, "does not answer")
        server.start()
        tiny.land(root, 1)
        second = _read_until(process, "version 2 is the champion")
        process.terminate()
        last, _ = process.communicate(timeout=60)

    assert process.returncode == 0, first + told + second + last


def treadle(*command: str, root: Path, settings: dict[str, str]) -> subprocess.Popen[str]:
    """Start the command line on a project."""
    return subprocess.Popen(
        [sys.executable, "-m", "treadle.app.cli.main", *command],
        cwd=root,
        env={**os.environ, **as_environment(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return what a process says until it has said some words; fails where it ends before."""
    assert process.stdout is not None
    said = ""
    while words not in said:
        line = process.stdout.readline()
        assert line, f"It ended before it said {words!r}: {said}"
        said += line
    return said


def _wait_for(root: Path, what: str, process: subprocess.Popen[str]) -> None:
    """Wait until the training function has noted something."""
    while what not in {noted for _, noted, _ in tiny.trainings(root)}:
        assert process.poll() is None, process.communicate()
        threading.Event().wait(0.02)
