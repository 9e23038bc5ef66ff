"""`kill -9` at any moment costs time, and nothing else: the next run goes on where the killed one stopped."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny
from sqlalchemy import select

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.settings import as_environment
from treadle.store.ledger import tables as t

#: Moments at which a run is killed, on each ledger: 100 in all.
MOMENTS = 50
#: Kills in a row before a run may come to its end.
IN_A_ROW = 5


@dataclass
class Command:
    """The command line `treadle run` on a project."""

    root: Path
    ledger: str

    def start(self, *, engine: str) -> subprocess.Popen[bytes]:
        overrides = {"ledger.url": self.ledger, "compute.engine": engine}
        return subprocess.Popen(
            [sys.executable, "-m", "treadle.app.cli.main", "run"],
            cwd=self.root,
            env={**os.environ, **as_environment(overrides)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def finish(self, *, engine: str = "process") -> tuple[str, float, float]:
        """Run to the end; return what it said, the seconds it took, and those of the processor."""
        begun = time.monotonic()
        process = self.start(engine=engine)
        assert process.stdout is not None
        said = process.stdout.read().decode()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        assert process.returncode == 0, said
        return said, time.monotonic() - begun, used.ru_utime + used.ru_stime

    def kill_after(self, seconds: float, *, engine: str) -> float | None:
        """Kill a run after a while; return the seconds it took if it had come to its end before, else None."""
        begun = time.monotonic()
        process = self.start(engine=engine)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return None if process.returncode == -9 else time.monotonic() - begun


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
    command, chance = Command(root, ledger_url), random.Random(20)
    command.finish()
    lasts = {}
    for number, engine in ((1, "process"), (2, "inline")):
        tiny.land(root, number, rows=200)
        _, lasts[engine], _ = command.finish(engine=engine)
    turns = 3

    for cycle in range(MOMENTS // IN_A_ROW):
        engine = "process" if cycle % 2 else "inline"
        tiny.land(root, turns, rows=200)
        turns += 1
        killed = 0
        while killed < IN_A_ROW:
            took = command.kill_after(chance.uniform(0, lasts[engine]), engine=engine)
            if took is None:
                killed += 1
                continue
            # It came to its end first, as the machine is quicker now: there is new work, and less time for it.
            lasts[engine] = 0.9 * min(took, lasts[engine])
            tiny.land(root, turns, rows=200)
            turns += 1
        command.finish(engine=engine)

        with open_workspace(root, overrides={"ledger.url": ledger_url}) as workspace:
            check(workspace, root, turns=turns)

    said, _, processor = command.finish()
    assert "nothing is new" in said
    assert processor < 2.0
