"""A real MLflow server shows what the ledger shows: also where it is stopped, and where whoever sends is killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shown
import tiny
from holding import holding
from sqlalchemy import delete

from mlflow_server import MlflowServer, MlflowTracker, in_mlflow
from mlflow_server import shared as shared_server
from treadle.app.mirrors import mirroring
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import RunFailed
from treadle.registry.sent import SentRows
from treadle.store.ledger import tables as t
from treadle.testing.mirrors import SECRET, failing_server

#: Seconds for which the server is stopped, and moments at which sending is killed.
STOPPED = float(os.environ.get("TREADLE_TEST_MIRROR_STOPPED", "1"))
KILLS = int(os.environ.get("TREADLE_TEST_MIRROR_KILLS", "6"))
HERE = Path(__file__).parent
INLINE = {"compute.engine": "inline"}


@pytest.fixture
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MlflowServer]:
    """A real server that the workspace mirrors to; with the parameter `alone` no other test uses it meanwhile."""
    with shared_server(tmp_path_factory, alone=getattr(request, "param", "") == "alone") as found:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", found.address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        yield found


@pytest.fixture
def tracker(server: MlflowServer) -> MlflowTracker:
    """The server, looked at."""
    return MlflowTracker(server.address)


@pytest.fixture
def model(root: Path) -> str:
    """The name of the model of a tiny project in `root`."""
    return shown.project(root)


@pytest.fixture
def workspace(root: Path, model: str) -> Iterator[Workspace]:
    """The workspace of that project."""
    with open_workspace(root, overrides=INLINE) as found:
        yield found


def turns(workspace: Workspace, model: str, *, first: int, last: int) -> None:
    """Land rows and turn the loop a few times, now and then in vain."""
    for number in range(first, last):
        tiny.land(workspace.root, number)
        (workspace.root / "mood.txt").write_text("raises" if number % 3 == 2 else "well")
        try:
            workspace.run(model)
        except RunFailed:
            assert number % 3 == 2


def test_a_loop_of_runs_is_shown_as_it_goes(workspace: Workspace, tracker: MlflowTracker, model: str) -> None:
    turns(workspace, model, first=0, last=4)
    promoted = workspace.promote(f"{model}/1", reason="back")

    shown.must_show(workspace, tracker, model)

    assert promoted.variants[0].version == 1
    assert shown.states(workspace) == [(0, "")]
    assert [one.sent for one in workspace.mirror()] == [0]


def test_what_was_sent_is_found_again(workspace: Workspace, tracker: MlflowTracker, model: str) -> None:
    turns(workspace, model, first=0, last=3)
    before = {one.remote for one in tracker.runs(model)}

    (again,) = workspace.mirror(again=True)

    assert again.sent > len(before)
    shown.must_show(workspace, tracker, model)
    assert {one.remote for one in tracker.runs(model)} == before


def test_trials_of_a_search_stand_under_their_run(root: Path, tracker: MlflowTracker) -> None:
    search = 'td.Search(space={"c": td.Float(1e-3, 10, log=True)}, trials=3, sampler="random")'
    model = shown.search_project(root, search)

    with open_workspace(root, overrides=INLINE) as workspace:
        run = workspace.run(model).run
        there = shown.must_show(workspace, tracker, model)

    assert len(there) == 4
    assert there[run.id].params["c"] == there[f"{run.id}/{run.trial}"].params["c"]
    assert there[f"{run.id}/{run.trial}"].tags["treadle.best"] == "yes"


def test_a_run_under_way_is_shown(workspace: Workspace, tracker: MlflowTracker, model: str) -> None:
    run = workspace.runs.start(model, reason="by hand", params={"c": 1})
    folder = workspace.runs.folder(run.id)
    line = '{"name": "loss", "value": %s, "step": %d, "at": "2026-01-01T00:00:0%dZ"}\n'
    (folder / "metrics.jsonl").write_text("".join(line % ("null" if i == 1 else i, i, i) for i in range(3)))
    workspace.mirror()
    running = tracker.runs(model)[0]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line % (7, 7, 7))

    workspace.mirror()
    goes_on = tracker.runs(model)[0]
    workspace.runs.seal(workspace.runs.finish(run, status="failed", error="the moon is wrong"))
    workspace.mirror()
    (ended,) = tracker.runs(model)

    assert (running.status, running.finished_at, running.params) == ("running", None, {})
    assert running.metrics["loss"] == [(0, 0.0), (1, None), (2, 2.0)]
    assert goes_on.metrics["loss"] == [*running.metrics["loss"], (7, 7.0)]
    assert (ended.status, ended.params, ended.latest["loss"]) == ("failed", {"c": "1"}, 7.0)
    assert ended.tags["treadle.error"] == "the moon is wrong"


def test_a_collected_version_says_so_and_an_alias_goes(
    workspace: Workspace, tracker: MlflowTracker, model: str
) -> None:
    turns(workspace, model, first=0, last=2)
    workspace.promote(f"{model}/2", reason="newest") if workspace.models.aliases(model)[
        "champion"
    ] == 1 else None
    with workspace.ledger.write() as connection:
        connection.execute(delete(t.aliases).where(t.aliases.c.alias == "previous"))
    workspace.collect(what=["models"], keep_last=0, younger_than="0s", dry_run=False)

    workspace.mirror()

    assert [v.collected_at is not None for v in workspace.models.versions(model)] == [True, False]
    assert set(tracker.aliases(model)) == {"champion"}
    shown.must_show(workspace, tracker, model)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["alone"], indirect=True)
def test_nothing_is_missing_after_the_server_was_stopped(
    workspace: Workspace, server: MlflowServer, tracker: MlflowTracker, model: str
) -> None:
    turns(workspace, model, first=0, last=1)

    server.stop()
    began, number = time.monotonic(), 1
    while number < 3 or time.monotonic() - began < STOPPED:
        turns(workspace, model, first=number, last=number + 1)
        number += 1
    waiting, error = shown.states(workspace)[0]
    server.start(ends_with=os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid())
    turns(workspace, model, first=number, last=number + 1)
    workspace.mirror()

    shown.must_show(workspace, tracker, model)
    assert waiting >= 2
    assert "cannot be reached" in error
    assert shown.states(workspace) == [(0, "")]


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_sent_twice(
    root: Path, server: MlflowServer, tracker: MlflowTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = 'td.Search(space={"c": td.Float(1e-3, 10, log=True)}, trials=2, sampler="random")'
    model = shown.search_project(root, search)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with open_workspace(root, overrides=INLINE) as workspace:
        for number in range(2):
            tiny.land(root, number)
            workspace.run(model)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        moments = [f"{random.Random(i).uniform(0.05, 0.9):.3f}" for i in range(KILLS)]

        killed = _forked(root, *moments)

        shown.must_show(workspace, tracker, model)
        assert killed > 0


def test_two_at_once_send_nothing_twice(
    workspace: Workspace,
    server: MlflowServer,
    tracker: MlflowTracker,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    turns(workspace, model, first=0, last=2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    with open_workspace(workspace.root) as other:
        assert [one.waiting for one in other.status().mirrors] != [0]

        assert _forked(workspace.root, "both") == 0

        shown.must_show(other, tracker, model)


@pytest.mark.parametrize("path", ["runs/create", "model-versions/create"])
def test_a_request_that_arrives_much_later_makes_no_twin(
    workspace: Workspace, server: MlflowServer, model: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    workspace.run(model)
    with holding(server.address, path) as wire, open_workspace(workspace.root) as other:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", wire.address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        sending, clock = mirroring(other), ManualClock(datetime.now(UTC))
        sending.clock = clock
        tracker = MlflowTracker(server.address)

        (hung,) = sending.send(seconds=None)
        (left_alone,) = sending.send(seconds=None)
        clock.advance("61s")
        (told,) = sending.send(seconds=None)
        wire.let_go.set()
        assert wire.arrived.wait(30)
        twins = len(tracker.runs(model)), len(tracker.versions(model))
        clock.advance("61s")
        (looked,) = sending.send(seconds=None)

        assert "did not answer within 2 s" in hung.error
        assert (left_alone.sent, left_alone.error) == (0, hung.error)
        assert (told.error, looked.waiting) == ("", 0)
        assert twins == ((2, 1) if path == "runs/create" else (1, 2))
        shown.must_show(other, tracker, model)


def test_mlflow_loads_the_champion_and_answers_as_ours(
    workspace: Workspace, server: MlflowServer, model: str, tmp_path: Path
) -> None:
    workspace.run(model)
    rows = {"pages": [0.5, -1.25, 3.0], "minutes": [0.1, 2.0, -0.7]}
    (tmp_path / "rows.json").write_text(json.dumps({"columns": rows, "moments": []}))

    found = in_mlflow(
        HERE.parent / "mlflow_answers.py",
        f"models:/{model}@champion",
        str(tmp_path / "rows.json"),
        address=server.address,
    )

    version = workspace.models.get(f"{model}@champion")
    expected = workspace.models.load(version).predict(version.signature.encode(pl.DataFrame(rows)))
    assert found["answers"]["prediction"] == expected["prediction"].tolist()
    np.testing.assert_allclose(found["answers"]["probability"], expected["probability"], rtol=1e-6)
    assert sorted(found["inputs"]) == ["minutes", "pages"]


@pytest.mark.parametrize("fault", ["silence", "drip", "401", "500", "half", "garbage", "closed"])
def test_a_failing_server_breaks_no_run_and_is_said_once(
    root: Path, model: str, fault: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with (
        failing_server(fault) as address,
        open_workspace(root, overrides=INLINE, progress=_Told(said)) as workspace,
    ):
        for name, value in (("URI", address), ("TOKEN", SECRET)):
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "0.5")
        run = workspace.runs.start(model, reason="by hand")
        workspace.runs.fail(run, error="none")

        began = time.monotonic()
        for _ in range(3):
            workspace.tick()
        took = time.monotonic() - began

        ((waiting, error),) = shown.states(workspace)
        known = SentRows(workspace.ledger, address).get(run.ref)
        (check,) = [one for one in workspace.check() if one.what == "mirror"]
    assert waiting > 0
    assert known is None
    assert error.startswith(f"MLflow at {address}: ")
    assert sum(error in line for line in said) == 1
    assert not check.ok
    assert took < 20
    told = "\n".join([*said, error, check.said, *capfd.readouterr()])
    assert SECRET not in told


def test_a_server_that_is_wrongly_named_breaks_no_run(
    workspace: Workspace, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlruns.db")

    turn = workspace.run(model)

    assert turn.run.status == "succeeded"
    assert "names no server that answers over HTTP" in shown.states(workspace)[0][1]
    assert [one.ok for one in workspace.check() if one.what == "mirror"] == [False]


class _Told:
    """Keeps what it is told."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def step(self, text: str) -> None:
        self._said.append(text)

    def advance(self, done: int, total: int) -> None:
        """Pass over the count."""


def _forked(root: Path, *moments: str) -> int:
    done = subprocess.run(
        [sys.executable, str(HERE / "mirror_forks.py"), str(root), *moments],
        env={**os.environ, **tiny.ONE_THREAD},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout)
