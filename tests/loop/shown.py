"""Compares what the ledger holds with what an MLflow server shows: everything is there, and nothing is there twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import seeking
import tiny

from mlflow_server import MlflowTracker
from treadle.app.workspace import Workspace
from treadle.core.ids import new_id
from treadle.core.records import Run
from treadle.testing.mirrors import Shown
from treadle.training.trials import Trial

_STATUS = {"running": "running", "failed": "failed"}
_TRIAL = {"succeeded": "finished", "failed": "failed"}


def project(root: Path) -> str:
    """Write a tiny project whose model's name no other test has, and return that."""
    return _renamed(tiny.make(root), "buys")


def search_project(root: Path, search: str) -> str:
    """Write a tiny project with a search, and return its model's name."""
    body = "for step in range(3): run.log_metric('loss', 1 / (1 + step), step=step)"
    return _renamed(seeking.make(root, search, body=body), "seeks")


def _renamed(root: Path, model: str) -> str:
    name = f"{model}_{new_id()}"
    file = root / "project.py"
    file.write_text(file.read_text().replace(f"def {model}(", f"def {name}("))
    return name


def must_show(workspace: Workspace, tracker: MlflowTracker, model: str) -> dict[str, Shown]:
    """Assert that a server shows each run, trial, version and alias of a model once, and nothing else; return its runs."""
    listed = tracker.runs(model)
    shown = {one.tags["treadle.run"]: one for one in listed}
    runs = workspace.runs.list(model=model, limit=10_000)
    trials = {run.id: workspace.trials.of_run(run.id) for run in runs}
    assert len(listed) == len(shown)
    assert sorted(shown) == sorted(
        [*(r.id for r in runs), *(f"{r}/{t.number}" for r in trials for t in trials[r])]
    )
    for run in runs:
        _must_be(workspace, run, shown[run.id])
        for trial in trials[run.id]:
            _must_be_trial(trial, shown[f"{run.id}/{trial.number}"], parent=shown[run.id].remote)
    if model in workspace.models.names():
        _must_have_versions(workspace, tracker, model, shown)
    return shown


def _must_be(workspace: Workspace, run: Run, shown: Shown) -> None:
    assert shown.status == _STATUS.get(run.status, "finished")
    assert shown.started_at == _millis(run.started_at)
    assert shown.finished_at == (_millis(run.finished_at) if run.finished_at else None)
    assert shown.tags["treadle.status"] == run.status
    assert shown.data == {name: f"version {version}" for name, version in run.data.items()}
    assert {name: shown.latest[name] for name in run.metrics} == run.metrics
    for name, step, value, _ in workspace.runs.metrics(run.id).iter_rows():
        assert (step or 0, value) in shown.metrics[name]
    if run.status == "running":
        return
    assert set(shown.params) == set(run.params)
    assert json.loads(shown.files["run.json"])["id"] == run.id
    assert shown.files.get("log.txt", b"").decode() == workspace.runs.log(run.id)
    verdicts = workspace.verdicts.list(run=run.id)
    assert sum(name.startswith("treadle.verdict.") for name in shown.tags) == len(verdicts)
    assert len(json.loads(shown.files.get("verdicts.json", b"[]"))) == len(verdicts)


def _must_be_trial(trial: Trial, shown: Shown, *, parent: str) -> None:
    assert (shown.parent, shown.status) == (parent, _TRIAL.get(trial.state, "killed"))
    assert {name: float(value) for name, value in shown.params.items()} == trial.params
    assert shown.latest["value"] == trial.value
    assert shown.metrics["loss"][:3] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def _must_have_versions(
    workspace: Workspace, tracker: MlflowTracker, model: str, shown: dict[str, Shown]
) -> None:
    versions = workspace.models.versions(model)
    there, tags = tracker.versions(model), tracker.tags(model)
    ours = {tags[number]["treadle.version"]: number for number in there}
    assert sorted(ours) == sorted(f"{model}/{version.version}" for version in versions)
    for version in versions:
        number = ours[f"{model}/{version.version}"]
        assert there[number] == shown[version.run].remote
        assert tags[number]["treadle.digest"] == version.digest
        assert ("treadle.collected" in tags[number]) == (version.collected_at is not None)
        files = shown[version.run].files
        assert b"<html" in files["card.html"]
        if version.collected_at is None:
            _must_be_package(workspace.models.files(version), files)
    assert tracker.aliases(model) == {
        alias: ours[f"{model}/{version}"] for alias, version in workspace.models.aliases(model).items()
    }


def _must_be_package(package: dict[str, bytes], files: dict[str, bytes]) -> None:
    assert {name: files[f"model/{name}"] for name in package} == package
    assert "model/MLmodel" in files


def states(workspace: Workspace) -> Sequence[tuple[int, str]]:
    """Return how much waits at each mirror, and why."""
    return [(one.waiting, one.error) for one in workspace.status().mirrors]


def _millis(at: datetime) -> datetime:
    return at.replace(microsecond=round(at.microsecond, -3) % 1_000_000) if at.microsecond < 999_500 else at
