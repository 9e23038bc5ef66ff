"""Searches end to end: what a trial sees, what becomes of it, and what the command line shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import seeking
from click.testing import CliRunner

from treadle.app.cli.main import treadle
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import InvalidDeclaration, NotFound, RunFailed
from treadle.training.trials import Trial

RANDOM = 'td.Search(space={"c": td.Float(1e-3, 10, log=True)}, sampler="random", OPTIONS)'


@pytest.fixture
def seeks(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    """Makes a project with a search and opens its workspace; trials run in this process unless `engine` says otherwise."""
    found: list[Workspace] = []

    def make(options: str, *, search: str = RANDOM, engine: str = "inline", **more: Any) -> Workspace:
        root = seeking.make(tmp_path / "shop", search.replace("OPTIONS", options), **more)
        found.append(open_workspace(root, overrides={"compute.engine": engine}))
        return found[-1]

    yield make
    for workspace in found:
        workspace.close()


def noted(workspace: Workspace, what: str) -> list[dict[str, Any]]:
    lines = (workspace.root / "trials.txt").read_text().splitlines()
    return [note for note in map(json.loads, lines) if note["what"] == what]


def trials_of(workspace: Workspace) -> list[Trial]:
    return workspace.trials.of_run(workspace.runs.list(model="seeks")[0].id)


def test_the_best_trial_of_all_windows_becomes_the_candidate(seeks: Callable[..., Workspace]) -> None:
    workspace = seeks('trials=6, windows=[td.Last("1d"), td.Last("90d")]')

    turn = workspace.run("seeks")

    trials = trials_of(workspace)
    best = min(trials, key=lambda trial: trial.value or 9)
    version = workspace.models.get("seeks/1")
    assert {trial.window for trial in trials} == {"last 1d", "last 90d"}
    assert (turn.run.trial, turn.run.params) == (best.number, best.params)
    assert version.metrics["rows"] == best.metrics["rows"]
    assert version.window.end == turn.run.window.end  # type: ignore[union-attr]
    assert best.metrics["validation.log_loss"] == best.value
    assert best.metrics["validation.roc_auc"] > 0.8
    # Trained on rows of its own window, scored on the same ones as all others.
    begun = noted(workspace, "begun")
    few, many = (
        {n["rows"] for n in begun if trials[n["trial"]].window == w} for w in ("last 1d", "last 90d")
    )
    assert max(few) < min(many) / 4
    assert len({note["scored"] for note in begun}) == 1
    assert workspace.run("seeks").unchanged
    assert len(noted(workspace, "begun")) == 6
    assert not (workspace.root / ".treadle" / "runs" / turn.run.id).exists()


def test_a_trial_that_raises_is_a_failed_trial(seeks: Callable[..., Workspace]) -> None:
    workspace = seeks("trials=6", body='if run.trial == 2: raise ZeroDivisionError("the moon is wrong")')

    turn = workspace.run("seeks")

    trials = trials_of(workspace)
    assert turn.run.status == "succeeded"
    assert [trial.state for trial in trials].count("failed") == 1
    assert "ZeroDivisionError: the moon is wrong (project.py, line" in trials[2].error
    assert "Traceback" in trials[2].traceback


def test_when_all_trials_fail_the_search_ends_soon(seeks: Callable[..., Workspace]) -> None:
    workspace = seeks("trials=50", body='raise ZeroDivisionError("the moon is wrong")')

    with pytest.raises(RunFailed, match="No trial of the search succeeded: 3 of 3 failed.*the moon is wrong"):
        workspace.run("seeks")

    assert workspace.runs.list()[0].status == "failed"


def test_hopeless_trials_are_pruned(seeks: Callable[..., Workspace]) -> None:
    body = "for step in range(3): run.report(abs(run.trial - 3) + 1 / (step + 1), step)"
    options = 'trials=8, pruner="median", pruner_options={"n_startup_trials": 3}'
    workspace = seeks(options, body=body)

    workspace.run("seeks")

    trials = trials_of(workspace)
    assert [trial.state for trial in trials][:4] == ["succeeded"] * 4
    assert trials[7].state == "pruned"
    assert trials[7].value == 5.0
    assert trials[7].steps == ((0, 5.0),)
    assert trials[3].steps == ((0, 1.0), (1, 0.5), (2, 1 / 3))
    assert "step 0" in trials[7].error


@pytest.mark.parametrize(
    ("options", "resources", "least", "most"),
    [('time="1s"', "", 2, 9), ("cost=0.001", "resources=td.Resources(price=3.6),", 2, 9)],
)
def test_a_search_ends_when_its_budget_is_spent(
    seeks: Callable[..., Workspace], options: str, resources: str, least: int, most: int
) -> None:
    search = RANDOM.replace("OPTIONS", options) + f",\n    {resources}"
    workspace = seeks(
        "", search=search.rstrip(",\n ") if not resources else search.rstrip(","), body="time.sleep(0.2)"
    )

    workspace.run("seeks")

    assert least <= len(trials_of(workspace)) <= most


@pytest.mark.slow
def test_workers_try_at_once_and_what_kills_one_is_the_trials(seeks: Callable[..., Workspace]) -> None:
    body = """
if run.trial == 1 and run.attempt == 1: os.kill(os.getpid(), signal.SIGKILL)
if run.trial == 2: os._exit(3)
if run.trial == 3: os.kill(os.getpid(), signal.SIGKILL)
print("native", flush=True); os.write(2, b"lines")
"""
    workspace = seeks("trials=6, parallel=2", engine="process", body=body.strip())

    turn = workspace.run("seeks")

    trials = trials_of(workspace)
    assert [trial.state for trial in trials] == ["succeeded"] * 2 + ["failed"] * 2 + ["succeeded"] * 2
    assert (trials[1].attempts, trials[1].crashes) == (2, 1)
    assert (trials[2].attempts, "status 3" in trials[2].error) == (1, True)
    assert (trials[3].attempts, "SIGKILL" in trials[3].error) == (3, True)
    log = workspace.runs.log(turn.run.id)
    assert len(re.findall(r"--- trial 0: .*\nnative\nlines", log)) == 1


def test_without_validation_rows_there_is_no_search(seeks: Callable[..., Workspace]) -> None:
    workspace = seeks("trials=2")
    file = workspace.root / "project.py"
    file.write_text(
        file.read_text().replace("train=0.6, validation=0.1, test=0.3", "train=0.7, validation=0.0, test=0.3")
    )

    with pytest.raises(RunFailed, match="no validation rows"):
        workspace.run("seeks")


def test_the_command_line_shows_trials(seeks: Callable[..., Workspace], tmp_path: Path) -> None:
    workspace = seeks(
        'trials=12, windows=[td.Last("1d"), td.Last("90d")]', body="run.report(1 / (run.trial + 1), 0)"
    )
    run = workspace.run("seeks").run.id
    arguments = ["runs", "trials", run, "--project", str(workspace.root)]

    told = CliRunner().invoke(treadle, [*arguments, "--page", str(tmp_path / "t.html")])
    as_json = CliRunner().invoke(treadle, [*arguments, "--json"])

    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0].split() == ["trial", "state", "log_loss", "c", "window", "time", "attempts", "why"]
    assert len(lines) == 13
    found = json.loads(as_json.stdout)
    values = [trial["value"] for trial in found["trials"]]
    assert values == sorted(values)
    assert found["best"]["number"] == found["trials"][0]["number"]
    page = (tmp_path / "t.html").read_text()
    assert page.count('class="dot ') == 12 + 2 * 12
    assert "<script" not in page
    assert "All parameters together" in page


def test_a_run_without_a_search_has_no_trials(seeks: Callable[..., Workspace]) -> None:
    workspace = seeks("trials=2")
    run = workspace.runs.start("buys", reason="by hand")

    with pytest.raises(NotFound, match="'buys' has no trials"):
        workspace.search(run.id)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("3", "expected a td.Search"),
        ('td.Search(space={"c": td.Int(1, 2)}, trials=1, metric="log_los")', "Did you mean 'log_loss'"),
        ('td.Search(space={"c": td.Int(1, 2)}, cost=1.0)', "price of a worker is not known"),
    ],
)
def test_a_model_with_a_search_that_cannot_be_is_refused(tmp_path: Path, search: str, said: str) -> None:
    root = seeking.make(tmp_path / "shop", search)

    with open_workspace(root) as workspace, pytest.raises(InvalidDeclaration, match=said):
        workspace.run("seeks")
