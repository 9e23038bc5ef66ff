"""A version that passed its gates waits until a person decides, where the policy asks for that."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import tiny

import treadle as td
from receiver import Receiver
from treadle.app.cli.main import main
from treadle.app.workspace import Workspace
from treadle.core.errors import Conflict, InvalidDeclaration, NotFound, TreadleError

CASE = "buys"


@pytest.fixture
def asking(root: Path) -> Path:
    """A project whose versions wait for approval."""
    file = root / "project.py"
    file.write_text(file.read_text().replace("NewRows(500)]", "NewRows(500)], approval=True"))
    return root


@pytest.fixture
def waited(asking: Path, opened: tiny.Opener) -> Workspace:
    """The workspace of that project; version 1 waits."""
    workspace = opened(compute__engine="inline")
    workspace.run(CASE)
    return workspace


def open_rules(workspace: Workspace) -> list[str]:
    return [alert.rule for alert in workspace.alerts.open()]


def test_a_version_that_passed_waits_and_status_says_so(waited: Workspace, root: Path) -> None:
    (model,) = waited.status().models

    assert waited.models.aliases(CASE) == {}
    assert waited.endpoints.names() == []
    assert model.waiting is not None
    assert (model.waiting.version, model.waiting.state, model.hindrance) == (1, "waiting", "")
    assert "log_loss is lower than baseline" in model.waiting.reason
    assert "waits for approval: treadle models approve buys/1" in waited.run(CASE).outcome
    assert waited.runs.list()[0].status == "succeeded"


def test_approved_it_becomes_the_champion_and_who_when_and_why_is_kept(waited: Workspace) -> None:
    done = waited.approve(f"{CASE}/1", reason="looks right", actor="anna")

    (move,) = waited.models.history(CASE)
    assert waited.models.aliases(CASE) == {"champion": 1}
    assert [v.version for v in waited.endpoints.get(CASE).variants] == [1]
    assert (move.actor, move.reason) == ("anna", "looks right")
    assert (done.state, done.actor, done.why) == ("approved", "anna", "looks right")
    assert done.decided_at is not None
    assert waited.approvals.list(CASE) == [done]
    assert open_rules(waited) == []
    assert waited.run(CASE).outcome == "version 1 was approved by anna: looks right"
    with pytest.raises(Conflict, match=r"buys/1 was approved already, by anna at .*: looks right"):
        waited.approve(f"{CASE}/1", reason="me too", actor="bert")


def test_rejected_it_stays_without_an_alias(waited: Workspace) -> None:
    waited.reject(f"{CASE}/1", reason="odd for the north", actor="anna")

    assert waited.models.aliases(CASE) == {}
    assert open_rules(waited) == []
    assert waited.approvals.list(CASE)[0].state == "rejected"
    assert waited.run(CASE).outcome == "version 1 was rejected by anna: odd for the north"
    with pytest.raises(Conflict, match="rejected already, by anna"):
        waited.approve(f"{CASE}/1", reason="yes", actor="bert")


def test_a_newer_version_takes_the_place_of_one_that_waits(waited: Workspace, root: Path) -> None:
    tiny.land(root, 1)
    waited.run(CASE)

    assert [(a.version, a.state) for a in waited.approvals.list(CASE)] == [(1, "replaced"), (2, "waiting")]
    with pytest.raises(
        Conflict, match="buys/1 no longer waits: version 2 passed its gates and took its place"
    ):
        waited.approve(f"{CASE}/1", reason="yes", actor="anna")
    waited.approve(f"{CASE}/2", reason="yes", actor="anna")
    assert waited.models.aliases(CASE) == {"champion": 2}


def test_what_never_waited_cannot_be_decided(waited: Workspace, root: Path) -> None:
    tiny.land(root, 1)
    tiny.feel(root, "backwards")
    waited.run(CASE)

    assert [(a.version, a.state) for a in waited.approvals.list(CASE)] == [(1, "waiting")]
    with pytest.raises(NotFound, match="buys/2 does not wait for approval. Waiting: buys/1."):
        waited.approve(f"{CASE}/2", reason="yes", actor="anna")
    with pytest.raises(NotFound, match="no version 9"):
        waited.reject(f"{CASE}/9", reason="no", actor="anna")


def test_verdicts_beside_another_champion_are_out_of_date(waited: Workspace, root: Path) -> None:
    waited.promote(f"{CASE}/1", reason="at once", actor="anna")
    assert waited.approvals.list(CASE)[0].actor == "anna"
    assert open_rules(waited) == []
    tiny.land(root, 1)
    waited.run(CASE)
    tiny.land(root, 2)
    tiny.feel(root, "backwards")
    waited.run(CASE)
    waited.promote(f"{CASE}/3", reason="a mistake", actor="bert")

    (model,) = waited.status().models
    said = "buys/2 was judged beside version 1, and the champion is version 3 now. Judge anew"
    assert model.hindrance.startswith(said)
    with pytest.raises(Conflict, match=said):
        waited.approve(f"{CASE}/2", reason="yes", actor="anna")
    assert waited.models.aliases(CASE) == {"champion": 3, "previous": 1}
    assert open_rules(waited) == ["approval"]


def test_gates_that_changed_since_must_judge_anew(
    waited: Workspace, asking: Path, opened: tiny.Opener
) -> None:
    file = asking / "project.py"
    file.write_text(file.read_text().replace('Beats("baseline")', 'Beats("baseline", margin=0.1)'))
    changed = opened(compute__engine="inline")

    with pytest.raises(Conflict, match="gates or baselines of 'buys' have changed since buys/1 was judged"):
        changed.approve(f"{CASE}/1", reason="yes", actor="anna")
    changed.run(CASE)
    assert changed.approve(f"{CASE}/2", reason="yes", actor="anna").state == "approved"


def test_of_two_who_decide_at_once_one_does(waited: Workspace, opened: tiny.Opener) -> None:
    workspaces = [waited, opened(), opened(), opened()]
    for workspace in workspaces:
        assert workspace.status().models
    together = Barrier(len(workspaces))

    def decide(number: int) -> str:
        together.wait()
        try:
            if number % 2:
                return workspaces[number].approve(f"{CASE}/1", reason="yes", actor=str(number)).state
            return workspaces[number].reject(f"{CASE}/1", reason="no", actor=str(number)).state
        except TreadleError as error:
            return type(error).__name__

    with ThreadPoolExecutor(len(workspaces)) as pool:
        said = sorted(pool.map(decide, range(len(workspaces))))

    (kept,) = waited.approvals.list(CASE)
    assert said == ["Conflict"] * 3 + [kept.state]
    assert waited.models.aliases(CASE) == ({"champion": 1} if kept.state == "approved" else {})


def test_a_person_is_told_once(asking: Path, opened: tiny.Opener, receiver: Receiver) -> None:
    workspace = opened(compute__engine="inline", alerts__webhook=receiver.url)
    workspace.tick()
    workspace.tick()
    tiny.land(asking, 1, rows=600)
    workspace.tick()

    assert [(a.version, a.state) for a in workspace.approvals.list()] == [(1, "replaced"), (2, "waiting")]
    assert open_rules(workspace) == ["approval"]
    workspace.approve(f"{CASE}/2", reason="yes", actor="anna")
    workspace.tick()

    history = workspace.alerts.history(rule="approval")
    assert [alert.resolved_at is not None for alert in history] == [True]
    assert sum(map(len, receiver.got.values())) == 2


def test_an_action_of_another_kind_waits_too(asking: Path, opened: tiny.Opener) -> None:
    file = asking / "project.py"
    file.write_text(file.read_text().replace("approval=True", "approval=True, action='challenger'"))
    workspace = opened(compute__engine="inline")
    workspace.run(CASE)
    assert workspace.models.aliases(CASE) == {}

    workspace.approve(f"{CASE}/1", reason="try it", actor="anna")

    assert workspace.models.aliases(CASE) == {"challenger": 1}
    assert workspace.models.history(CASE)[0].actor == "anna"


def test_an_alert_that_waits_for_approval_makes_no_sense() -> None:
    with pytest.raises(InvalidDeclaration, match="an alert needs no approval"):
        td.Policy(action="alert", approval=True)


def test_the_commands(
    asking: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(asking)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    assert typed("run") == 0
    assert "waits for approval" in capsys.readouterr().out

    assert typed("status") == 0
    assert "treadle models approve buys/1 --reason ..., or reject buys/1" in capsys.readouterr().out
    assert typed("models", "approve", "buys/1") == 2
    assert "--reason" in capsys.readouterr().err
    assert typed("models", "approve", "buys/1", "--reason", "good", "--by", "anna", "--json") == 0
    assert json.loads(capsys.readouterr().out)["actor"] == "anna"
    assert typed("models", "reject", "buys/1", "--reason", "bad") == 6
    assert "approved already, by anna" in capsys.readouterr().err
    assert typed("models", "show", "buys") == 0
    assert "approved" in capsys.readouterr().out


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)
