"""`kill -9` of a search at any moment: it resumes, no finished trial runs twice, and it ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import seeking
import tiny
from killing import Killer

from treadle.app.workspace import Workspace, open_workspace
from treadle.training.trials import Trial

FULL = bool(os.environ.get("TREADLE_FULL"))
#: Moments at which the driver is killed, and kills of one search in a row.
MOMENTS, IN_A_ROW = (50, 10) if FULL else (8, 8)
TRIALS, STEPS = 8, 4
SEARCH = (
    f'td.Search(space={{"c": td.Float(1e-3, 10, log=True)}}, trials={TRIALS}, sampler="random", parallel=2)'
)
BODY = f"for step in steps(run, {STEPS}, seconds=0.02): pass"


def run(root: Path, settings: dict[str, str], moments: list[float]) -> int:
    """Kill `treadle run` at each moment, then let it come to its end; return how often it was killed."""
    with Killer(root, environment=tiny.ONE_THREAD) as killer:
        for killed, moment in enumerate(moments):
            if not killer.run("run", "seeks", settings=settings, kill_after=moment).killed:
                return killed
        killer.run("run", "seeks", settings=settings)
    return len(moments)


def noted(root: Path) -> list[dict[str, Any]]:
    path = root / "trials.txt"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def check(workspace: Workspace, root: Path, *, killed: int) -> list[Trial]:
    """Every trial ended once, was not begun after that, and repeated at most the step that it was killed in."""
    (run,) = workspace.runs.list(model="seeks")
    trials = list(workspace.trials.of_run(run.id))
    assert run.status == "succeeded"
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {"succeeded"}
    notes = noted(root)
    for trial in trials:
        assert trial.finished_at is not None
        ended = trial.finished_at.timestamp() * 1e6
        assert all(note["at"] <= ended for note in notes if note["trial"] == trial.number)
        begun = sum(note["what"] == "begun" for note in notes if note["trial"] == trial.number)
        assert begun <= trial.attempts
    steps = Counter((note["trial"], note["step"]) for note in notes if note["what"] == "step")
    assert sorted(steps) == [(number, step) for number in range(TRIALS) for step in range(STEPS)]
    # One step is repeated for each kill and worker, as each saves its state after every step.
    assert steps.total() - len(steps) <= 2 * killed
    assert not list((root / ".treadle" / "runs").iterdir())
    return trials


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", ["inline", "process"] if FULL else ["inline"])
def test_a_killed_search_resumes_and_repeats_no_finished_trial(tmp_path: Path, engine: str) -> None:
    settings = {"ledger.url": "sqlite:///ledger.db", "compute.engine": engine}
    whole = seeking.make(tmp_path / "whole", SEARCH, body=BODY)
    run(whole, settings, [])
    with open_workspace(whole, overrides=settings) as workspace:
        expected = [(trial.params, trial.value) for trial in check(workspace, whole, killed=0)]
        (ended,) = workspace.runs.list(model="seeks")
    assert ended.finished_at is not None
    took = (ended.finished_at - ended.started_at).total_seconds()

    draw, killed = random.Random(7), 0
    for number in range(MOMENTS):
        if killed >= MOMENTS:
            break
        root = seeking.make(tmp_path / f"killed-{number}", SEARCH, body=BODY)
        moments = [draw.uniform(0.1, 1.3) * took for _ in range(IN_A_ROW)]
        here = run(root, settings, moments)
        killed += here

        with open_workspace(root, overrides=settings) as workspace:
            trials = check(workspace, root, killed=here)
        assert [(trial.params, trial.value) for trial in trials] == expected
    assert killed >= MOMENTS
