"""What endpoints, servers and people refer to keeps its package; the command says what goes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))

import tiny

from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import PackageRefused
from treadle.core.records import ServerState
from treadle.serving.frames import PREDICTIONS


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A project with four versions: 4 answers, 3 did before, and 2 is pinned by an endpoint of its own."""
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    root = tiny.make(tmp_path / "shop")
    monkeypatch.chdir(root)
    with open_workspace(root) as workspace:
        for week in range(1, 5):
            workspace.run("buys")
            tiny.land(root, week)
        workspace.point("pinned", "buys/2", reason="the app of last year")
        yield workspace


def kept(workspace: Workspace, **changed: int) -> dict[int, str]:
    return {
        fate.version: fate.kept
        for fate in workspace.collect(what=["models"], younger_than="0s", **{"keep_last": 0} | changed).models
    }


def test_what_answers_stays(workspace: Workspace):
    assert kept(workspace) == {
        1: "",
        2: "revision 1 of endpoint pinned",
        3: "alias previous",
        4: "alias champion",
    }

    state = ServerState(server="here", endpoint="buys", revision=1, at=workspace.clock.now())
    workspace.endpoints.report(state)
    assert kept(workspace)[1] == "revision 1 of endpoint buys"
    assert kept(workspace, keep_last=9)[1] == "revision 1 of endpoint buys"
    workspace.endpoints.forget("here")
    assert kept(workspace, keep_last=4)[1] == "one of the last 4"


def test_what_waits_for_approval_stays(workspace: Workspace, tmp_path: Path):
    file = workspace.root / "project.py"
    file.write_text(file.read_text().replace("NewRows(500)]", "NewRows(500)], approval=True"))
    with open_workspace(workspace.root) as asking:
        asking.run("buys")

        assert kept(asking)[5] == "waits for approval"


def test_the_command_says_what_goes_and_removes_it_where_it_is_told_to(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
):
    assert typed("collect", "models", "--keep-last", "1", "--younger-than", "0s") == 0
    told = capsys.readouterr()
    assert "1 of 4 packages would be removed" in told.out
    assert "Nothing was removed" in told.err
    assert typed("collect", "datasets", "--keep-last", "0", "--younger-than", "0s", "--remove") == 0
    assert workspace.models.get("buys/1").collected_at is None
    capsys.readouterr()

    assert (
        typed("collect", "models", "buys", "--keep-last", "1", "--younger-than", "0s", "--remove", "--json")
        == 0
    )
    assert json.loads(capsys.readouterr().out)["models"][0]["kept"] == ""

    assert workspace.models.get("buys/1").collected_at is not None
    with pytest.raises(PackageRefused, match="was collected"):
        workspace.promote("buys/1", reason="back", actor="anna")
    with pytest.raises(PackageRefused, match="was collected"):
        workspace.point("pinned", "buys/1", reason="back")
    card = workspace.card("buys/1")
    assert "was collected" in card.limits[0]
    assert len(card.verdicts) == 2
    assert workspace.rerun(card.run.id).identical
    assert typed("collect", "models", "bys") == 3


def test_predictions_are_collected_where_the_settings_say_how_long_they_are_kept(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    for number, age in enumerate((40, 1), 1):
        row = {"prediction_id": f"p{age}", "at": workspace.clock.now() - timedelta(days=age)}
        rows = pl.DataFrame([row], schema=PREDICTIONS)
        workspace.tables.deliver("predictions/buys", rows, sender="s", number=number)

    def there() -> list[str]:
        return sorted(workspace.tables.scan("predictions/buys").collect()["prediction_id"])

    assert typed("collect", "predictions") == 0
    assert "for ever (serving.keep_predictions is empty)" in capsys.readouterr().out
    monkeypatch.setenv("TREADLE_SERVING__KEEP_PREDICTIONS", "30d")
    assert typed("collect", "predictions", "buys") == 0
    told = capsys.readouterr()
    assert "1 rows would be removed" in told.out
    assert "treadle collect predictions buys --remove" in told.err
    assert there() == ["p1", "p40"]

    assert typed("collect", "predictions", "--remove", "--json") == 0
    [found] = json.loads(capsys.readouterr().out)["predictions"]

    assert (found["log"], found["rows"], found["size"] > 0) == ("predictions/buys", 1, True)
    assert there() == ["p1"]
    assert typed("collect", "predictions", "bys") == 3
    assert "endpoint with a log" in capsys.readouterr().err
    monkeypatch.setenv("TREADLE_SERVING__KEEP_OUTCOMES", "1d")
    assert typed("collect", "predictions", "--remove") != 0


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)
