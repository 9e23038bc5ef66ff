"""`kill -9` at any moment costs time, and nothing else: the next run goes on where the killed one stopped."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import tiny
from killing import Killer
from sqlalchemy import select

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.settings import as_environment
from treadle.store.ledger import tables as t

#: Moments at which a run is killed: on SQLite, and on another ledger, whose difference is the ledger's contract to tell.
MOMENTS, ELSEWHERE = (50, 50) if os.environ.get("TREADLE_FULL") else (20, 10)
#: Kills in a row before a run may come to its end.
IN_A_ROW = 5


def cpu_of(root: Path, settings: dict[str, str]) -> tuple[str, float]:
    """Run `treadle run` as a program; return what it said, and the seconds of the processor."""
    process = subprocess.Popen(
        [sys.executable, "-m", "treadle.app.cli.main", "run"],
        cwd=root,
        env={**os.environ, **as_environment(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0, said
    return said, used.ru_utime + used.ru_stime


def check(workspace: Workspace, root: Path, *, turns: int) -> None:
    """Everything is there once, and nothing was done again that had been finished."""
    runs = workspace.runs.list(model="buys", limit=1000)
    assert [run.status for run in runs] == ["succeeded"] * turns
    assert len({run.turn for run in runs}) == turns
    versions = workspace.models.versions("buys")
    assert sorted(version.version for version in versions) == list(range(1, turns + 1))
    assert sorted(version.run for version in versions) == sorted(run.id for run in runs)
    assert workspace.models.aliases("buys")["champion"] == turns
    assert workspace.endpoints.get("buys").revision == turns
    assert all(len(workspace.verdicts.list(run=run.id)) == 2 for run in runs)
    newest = workspace.datasets.version("visits")
    rows = workspace.datasets.read("visits")
    assert newest.version == turns
    assert rows.height == newest.rows == rows["visit_id"].n_unique() == 2000 + 200 * (turns - 1)
    assert not any((root / ".treadle" / "runs").iterdir())
    assert_no_finished_training_was_begun_again(workspace, root)


def assert_no_finished_training_was_begun_again(workspace: Workspace, root: Path) -> None:
    with workspace.ledger.read() as connection:
        steps = connection.execute(select(t.steps.c.run, t.steps.c.step, t.steps.c.finished_at)).all()
    trained = {run: at for run, step, at in steps if step == "train"}
    assert Counter(step for _, step, _ in steps)["turn"] == len(trained)
    for run, what, at in tiny.trainings(root):
        assert what == "done" or at <= trained[run], f"{run} was trained again after its training was kept"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, ledger_url: str) -> None:
    root = tiny.make(tmp_path / "shop")
    chance = random.Random(20)
    settings = {
        engine: {"ledger.url": ledger_url, "compute.engine": engine} for engine in ("process", "inline")
    }
    with Killer(root, environment=tiny.ONE_THREAD) as killer:
        killer.run("run", settings=settings["process"])
        lasts = {}
        for number, engine in ((1, "process"), (2, "inline")):
            tiny.land(root, number, rows=200)
            lasts[engine] = killer.run("run", settings=settings[engine]).seconds
        turns = 3

        for cycle in range((MOMENTS if ledger_url.startswith("sqlite") else ELSEWHERE) // IN_A_ROW):
            engine = "process" if cycle % 2 else "inline"
            tiny.land(root, turns, rows=200)
            turns += 1
            killed = 0
            while killed < IN_A_ROW:
                after = chance.uniform(0, lasts[engine])
                ended = killer.run("run", settings=settings[engine], kill_after=after)
                if ended.killed:
                    killed += 1
                    continue
                # It came to its end first, as the machine is quicker now: there is new work, and less time for it.
                lasts[engine] = 0.9 * min(ended.seconds, lasts[engine])
                tiny.land(root, turns, rows=200)
                turns += 1
            killer.run("run", settings=settings[engine])

            with open_workspace(root, overrides={"ledger.url": ledger_url}) as workspace:
                check(workspace, root, turns=turns)

    said, processor = cpu_of(root, settings["process"])
    assert "nothing is new" in said
    assert processor < 2.0
