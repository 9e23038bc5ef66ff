"""Trainings on a Ray cluster: nodes vanish under a search, the head is lost, and nothing but time is."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import seeking

from pace import FULL, within
from treadle.app.workspace import Workspace, open_workspace
from treadle.core import plugins
from treadle.core.errors import RunFailed
from treadle.testing import compute

TRIALS, STEPS, KILLS = (30, 6, 30) if FULL else (6, 4, 3)
SEARCH = (
    f'td.Search(space={{"c": td.Float(1e-3, 10, log=True)}}, trials={TRIALS}, sampler="random", parallel=3),\n'
    '    resources=[td.Resources(labels={"spot": 1}, losses=LOSSES), td.Resources()]'
)
#: Where a file `limit` says how many lines `trials.txt` may have, no step goes on beyond that.
BODY = f"""
for step in steps(run, {STEPS}, seconds=0.1):
    while (HERE / "limit").exists():
        if len((HERE / "trials.txt").read_text().splitlines()) < int((HERE / "limit").read_text() or 0):
            break
        time.sleep(0.05)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass
class Nodes:
    """Three Ray nodes, and what kills them."""

    process: subprocess.Popen[str]
    address: str

    def say(self, word: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "killed\n"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A cluster for all tests of this file; the last of them takes its head."""
    errors = (tmp_path_factory.mktemp("ray") / "said.txt").open("wb")
    command = [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), "5"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, Path(errors.name).read_text()
    yield Nodes(process, address)
    process.stdin.close()
    process.wait(60)
    process.stdout.close()
    errors.close()


def opened(root: Path, engine: str, address: str = "") -> Workspace:
    return open_workspace(root, overrides={"compute.engine": engine, "compute.address": address})


def noted(root: Path) -> list[dict[str, Any]]:
    path = root / "trials.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def kill_while(running: threading.Thread, root: Path, nodes: Nodes) -> int:
    """Kill a node again and again, each time when some more was noted; trials wait for that, so none is over before."""
    draw, killed = random.Random(3), 0
    while running.is_alive() and killed < KILLS:
        wanted = len(noted(root)) + draw.randint(2, 5)
        (root / "limit").write_text(str(wanted))
        while running.is_alive() and len(noted(root)) < wanted:
            time.sleep(0.05)
        if running.is_alive():
            nodes.say("kill" if killed else "kill spot")
            killed += 1
    (root / "limit").unlink()
    running.join()
    return killed


def test_every_engine_check_holds_on_a_cluster(nodes: Nodes, tmp_path: Path) -> None:
    engine = plugins.load("compute", "ray").Engine(nodes.address)
    try:
        for check in compute.CHECKS:
            (tmp_path / check.__name__).mkdir()
            check(engine, tmp_path / check.__name__)
    finally:
        engine.close()


def test_t1_nodes_vanish_under_a_search_and_it_ends_as_if_they_had_not(nodes: Nodes, tmp_path: Path) -> None:
    search = SEARCH.replace("LOSSES", "2")
    calm = seeking.make(tmp_path / "calm", search, body=BODY, timeout="20m")
    with opened(calm, "inline") as workspace:
        expected = workspace.run("seeks").run
        values = [(t.params, t.value) for t in workspace.trials.of_run(expected.id)]
    root = seeking.make(tmp_path / "shop", search, body=BODY, timeout="20m")
    found: list[Any] = []

    (root / "limit").write_text("0")
    with opened(root, "ray", nodes.address) as workspace:
        running = threading.Thread(target=lambda: found.append(workspace.run("seeks").run))
        running.start()
        killed = kill_while(running, root, nodes)

        (run,) = found
        trials = workspace.trials.of_run(run.id)
    assert killed == KILLS
    assert {trial.state for trial in trials} == {"succeeded"}
    assert [(trial.params, trial.value) for trial in trials] == values
    assert (run.trial, run.params) == (expected.trial, expected.params)
    assert sum(trial.losses for trial in trials) >= 1
    steps = Counter((note["trial"], note["step"]) for note in noted(root) if note["what"] == "step")
    assert sorted(steps) == [(number, step) for number in range(TRIALS) for step in range(STEPS)]
    # Each loss repeats at most one interval of the one trial that the worker had in hand.
    assert steps.total() - len(steps) <= sum(trial.attempts - 1 for trial in trials)
    for trial in trials:
        repeated = sum(steps[trial.number, step] - 1 for step in range(STEPS))
        assert repeated <= trial.attempts - 1


def test_t4_a_lost_head_fails_the_run_with_a_cause_and_leaves_no_process(
    nodes: Nodes, tmp_path: Path
) -> None:
    body = "begin(run, 'pid', pid=os.getpid())\ntime.sleep(300)"
    root = seeking.make(tmp_path / "shop", 'td.Search(space={"c": td.Float(1, 2)}, trials=1)', body=body)
    failed: list[RunFailed] = []

    def run() -> None:
        try:
            workspace.run("seeks")
        except RunFailed as error:
            failed.append(error)

    with opened(root, "ray", nodes.address) as workspace:
        running = threading.Thread(target=run)
        running.start()
        while not any(note["what"] == "pid" for note in noted(root)):
            assert running.is_alive()
            time.sleep(0.05)
        nodes.say("head")
        begun = time.monotonic()
        running.join(within(60, busy=4))

        assert time.monotonic() - begun < within(60, busy=4)
        assert "Ray" in str(failed[0])
        assert workspace.runs.list()[0].status == "failed"
    pid = next(note["pid"] for note in noted(root) if note["what"] == "pid")
    while Path(f"/proc/{pid}").exists() and time.monotonic() - begun < within(90, busy=4):
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()


def test_t4_a_cluster_that_is_not_there_fails_the_run_with_a_cause(tmp_path: Path) -> None:
    root = seeking.make(tmp_path / "shop", 'td.Search(space={"c": td.Float(1, 2)}, trials=1)')
    begun = time.monotonic()

    with opened(root, "ray", "127.0.0.1:1") as workspace:
        with pytest.raises(RunFailed, match=r"Ray at 127.0.0.1:1 cannot be used: .*does not answer"):
            workspace.run("seeks")

        assert workspace.runs.list()[0].status == "failed"
    assert time.monotonic() - begun < within(60, busy=4)


def test_without_an_address_ray_is_of_this_engine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What other programs left behind, as a cluster that is no more, does not matter.
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    engine = plugins.load("compute", "ray").Engine()
    try:
        compute.check_keeps_what_is_printed(engine, tmp_path)
    finally:
        engine.close()
