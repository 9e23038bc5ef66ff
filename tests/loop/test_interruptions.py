"""Runs that are told to end, stopped, killed or overtaken by changed code: nothing is lost, doubled or mixed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import seeking
import tiny

from treadle.app.workspace import open_workspace
from treadle.core.errors import Busy, RunCrashed

FULL = bool(os.environ.get("TREADLE_FULL"))
STEPS = 60
SAVES = f"""
state = run.checkpoint() or {{"step": 0}}
for step in range(int(state["step"]), {STEPS}):
    begin(run, "step", step=step)
    time.sleep(0.03)
    run.save_checkpoint(lambda: {{"step": step + 1}}, every="1h")
"""
SEARCH = 'td.Search(space={"c": td.Float(0.1, 1)}, trials=1)'
#: A lease that ends soon.
BRIEF = "1.0"


def start(root: Path, model: str, *, program: tuple[str, ...], engine: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *program, "run", model],
        cwd=root,
        env={**os.environ, "TREADLE_COMPUTE__ENGINE": engine},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def steps(root: Path) -> Counter[int]:
    path = root / "trials.txt"
    notes = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return Counter(note["step"] for note in notes if note["what"] == "step")


@pytest.mark.slow
@pytest.mark.parametrize("search", ["None", SEARCH] if FULL else [SEARCH])
def test_t3_a_notice_of_the_end_costs_no_step(tmp_path: Path, search: str) -> None:
    root = seeking.make(tmp_path / "shop", search, body=SAVES.strip())
    process = start(root, "seeks", program=("-m", "treadle.app.cli.main"), engine="process")
    while len(steps(root)) < 3:
        assert process.poll() is None
        time.sleep(0.01)

    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 130
    done = len(steps(root))

    assert done < STEPS
    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        turn = workspace.run("seeks")
    assert (turn.run.status, turn.run.attempts) == ("succeeded", 2)
    assert steps(root) == Counter(range(STEPS))


@pytest.mark.slow
def test_r6_a_runner_that_was_stopped_past_its_lease_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREADLE_LOOP__LEASE", BRIEF)
    root = tiny.make(tmp_path / "shop")
    for number in range(1, 31 if FULL else 2):
        tiny.feel(root, "waits")
        stopped = start(root, "buys", program=("-m", "treadle.app.cli.main"), engine="inline")
        while len(tiny.trainings(root)) < 4 * (number - 1) + 1:
            assert stopped.poll() is None
            time.sleep(0.01)
        stopped.send_signal(signal.SIGSTOP)
        tiny.feel(root, "well")

        with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
            turn = _when_free(lambda w=workspace: w.run("buys"))  # type: ignore[misc]
            (root / "go").touch()
            (root / "on").touch()
            stopped.send_signal(signal.SIGCONT)

            assert stopped.wait(timeout=120) == 6
            assert (turn.run.status, turn.run.attempts) == ("succeeded", 2)
            assert len(workspace.runs.list()) == number
            assert len(workspace.models.versions("buys")) == number
            assert workspace.endpoints.get("buys").revision == number
        (root / "go").unlink()
        (root / "on").unlink()
        tiny.land(root, number, rows=100)


def _when_free(work):
    end = time.monotonic() + 120
    while True:
        try:
            return work()
        except Busy:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_r7_changed_code_ends_an_interrupted_run_with_a_diff(tmp_path: Path) -> None:
    root = seeking.make(tmp_path / "shop", SEARCH.replace("trials=1", "trials=3"))
    kill = "if run.trial == 1: os.kill(os.getpid(), signal.SIGKILL)"
    file = root / "project.py"
    whole = file.read_text()
    file.write_text(whole.replace("    pass\n", f"    {kill}\n"))
    first = start(root, "seeks", program=("-m", "treadle.app.cli.main"), engine="inline")
    assert first.wait() == -signal.SIGKILL
    file.write_text(whole.replace("    pass\n", "    mended = 1\n"))

    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        turn = workspace.run("seeks")

        new, old = workspace.runs.list(model="seeks")
        assert (old.status, new.id, new.status) == ("failed", turn.run.id, "succeeded")
        assert "The code changed before the interrupted run could go on: project.py." in old.error
        assert f"-    {kill}\n+    mended = 1\n" in old.traceback
        # Not one trial of the one is in the other.
        assert [t.state for t in workspace.trials.of_run(old.id)] == ["succeeded", "running"]
        assert [t.state for t in workspace.trials.of_run(new.id)] == ["succeeded"] * 3


@pytest.mark.slow
def test_a_training_whose_process_is_killed_is_begun_again(tmp_path: Path) -> None:
    root = tiny.make(tmp_path / "shop")
    tiny.feel(root, "killed")

    with open_workspace(root, overrides={"compute.retries": 1}) as workspace:
        with pytest.raises(RunCrashed, match="SIGKILL"):
            workspace.run("buys")

        (failed,) = workspace.runs.list()
    assert (failed.status, failed.attempts) == ("failed", 2)
    assert [what for _, what, _ in tiny.trainings(root)] == ["begun", "begun"]
