"""A run that is made again gives the same numbers, or it is said what differs; nothing of it is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import tiny

from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import Busy, Conflict, NotFound, RunFailed
from treadle.core.ids import canonical
from treadle.core.records import to_json
from treadle.store.ledger import tables as t

CASE = "buys"


def state(workspace: Workspace) -> object:
    """Everything that a rerun must leave as it is."""
    objects = sorted(workspace.objects.list())
    runs = [to_json(run) for run in workspace.runs.list()]
    return (objects, runs, workspace.models.aliases(CASE), len(workspace.models.versions(CASE)))


def test_a_run_made_again_is_the_same_to_the_last_byte_and_leaves_nothing(
    opened: tiny.Opener, root: Path
) -> None:
    workspace = opened(compute__engine="inline")
    run = workspace.run(CASE).run
    tiny.land(root, 1)
    workspace.run(CASE)
    before = state(workspace)

    found = opened(compute__engine="process").rerun(run.id)

    assert (found.same, found.identical, found.version) == (True, True, 1)
    assert found.compared == len([name for name in run.metrics if "champion" not in name])
    assert found.compared > 10
    assert (found.rows_off, found.metrics, found.code, found.environment, found.notes) == (0, (), "", (), ())
    assert found.rows > 400
    assert state(workspace) == before
    assert not (root / ".treadle" / "reruns" / run.id).exists()
    assert [folder.name for folder in (root / ".treadle" / "runs").iterdir()] == []


def test_a_training_that_draws_without_the_seed_is_found_out(opened: tiny.Opener, root: Path) -> None:
    file = root / "project.py"
    drawn = "y = np.where(np.random.default_rng().random(len(data.train)) < 0.1, 1 - data.train.y, data.train.y)\n    "
    file.write_text(file.read_text().replace("    fitted = ", f"    {drawn}fitted = "))
    workspace = opened(compute__engine="inline")
    run = workspace.run(CASE).run

    found = workspace.rerun(run.id)

    assert (found.same, found.identical, found.code) == (False, False, "")
    assert found.rows_off == found.rows > 400
    assert 0 < found.largest < 0.2
    (change,) = [change for change in found.metrics if change.name == "test.candidate.log_loss"]
    assert change.before == run.metrics[change.name] != change.now
    assert not [change for change in found.metrics if "baseline" in change.name]


def test_code_and_environment_that_changed_are_shown(opened: tiny.Opener, root: Path) -> None:
    workspace = opened(compute__engine="inline")
    run = workspace.run(CASE).run
    recorded = json.loads(workspace.objects.get(run.environment))
    recorded["packages"]["numpy"] = "1.0"
    recorded["packages"]["gone"] = "2.0"
    older = msgspec.structs.replace(run, environment=workspace.objects.put(canonical(recorded)))
    with workspace.ledger.write() as ledger:
        ledger.execute(t.runs.update().where(t.runs.c.id == run.id).values(body=to_json(older)))
    file = root / "project.py"
    file.write_text(file.read_text().replace("random_state=run.seed", "random_state=run.seed, C=0.01"))

    found = opened(compute__engine="inline").rerun(run.id)

    assert not found.same
    assert "-    fitted = LogisticRegression(random_state=run.seed)" in found.code
    assert "+    fitted = LogisticRegression(random_state=run.seed, C=0.01)" in found.code
    assert [(c.name, c.before) for c in found.environment] == [("gone", "2.0"), ("numpy", "1.0")]
    assert found.environment[0].now is None


def test_a_run_whose_package_is_gone_is_compared_by_its_metrics(inline: Workspace, root: Path) -> None:
    run = inline.run(CASE).run
    inline.objects.delete(inline.models.get(CASE).digest)
    shutil.rmtree(root / ".treadle" / "cache")

    found = inline.rerun(run.id)

    assert (found.same, found.identical, found.rows) == (True, True, 0)
    assert found.notes[0].startswith("Answers could not be compared row by row: Package sha256:")


def test_what_cannot_be_made_again_says_why(inline: Workspace, root: Path) -> None:
    run = inline.run(CASE).run
    started = inline.runs.start(CASE, reason="by hand", data={"visits": 1}, window=run.window)
    gone = inline.runs.finish(
        inline.runs.start(CASE, reason="by hand", data={"visits": 7}, window=run.window), status="failed"
    )

    with pytest.raises(NotFound, match="No run 'run_x'"):
        inline.rerun("run_x")
    with pytest.raises(Conflict, match="is under way or was interrupted"):
        inline.rerun(started.id)
    with pytest.raises(NotFound, match="read version 7 of 'visits', which is no longer there"):
        inline.rerun(gone.id)
    with (
        inline.ledger.lease(f"rerun/{run.id}", holder="somebody", ttl=60, clock=inline.clock),
        pytest.raises(Busy),
    ):
        inline.rerun(run.id)
    tiny.feel(root, "raises")
    with pytest.raises(RunFailed, match="the moon is wrong"):
        inline.rerun(run.id)
    assert not any((root / ".treadle" / "reruns").iterdir())


def test_rows_that_were_forgotten_are_said(inline: Workspace) -> None:
    run = inline.run(CASE).run
    test = inline.datasets.read("visits", split="test").head(40)["visit_id"].to_list()
    inline.forget("visits", where={"visit_id": test}, reason="asked to")

    found = inline.rerun(run.id)

    assert not found.same
    assert found.identical
    assert "rows were forgotten" in found.notes[0]


def test_the_command_ends_with_1_where_a_number_differs(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    with open_workspace() as workspace:
        run = workspace.run(CASE).run.id

    assert typed("runs", "rerun", run) == 0
    assert "the package is the same to the last byte" in capsys.readouterr().out

    tiny.feel(root, "backwards")
    assert typed("runs", "rerun", run) == 1
    told = capsys.readouterr().out
    assert "the numbers differ" in told
    assert "metric test.candidate.log_loss: 0." in told
    assert "test rows are answered differently" in told

    assert typed("runs", "rerun", run, "--json") == 1
    assert json.loads(capsys.readouterr().out)["same"] is False


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)
