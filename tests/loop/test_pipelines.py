"""One turn of the loop on a tiny project, and what remains true when a training goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.errors import NotFound, RunCrashed, RunFailed, RunTimeout
from treadle.core.records import Run

CASE = "buys"


def runs(workspace: Workspace) -> list[Run]:
    """All runs, oldest first."""
    return workspace.runs.list(model=CASE)[::-1]


def answering(workspace: Workspace) -> list[tuple[str, int]]:
    return [(v.model, v.version) for v in workspace.endpoints.get(CASE).variants]


def assert_champion_is(workspace: Workspace, version: int) -> None:
    assert workspace.models.aliases(CASE)["champion"] == version
    assert answering(workspace) == [(CASE, version)]


def test_a_turn_makes_a_run_a_version_and_an_endpoint(workspace: Workspace) -> None:
    turn = workspace.run(CASE, reason="first")

    assert not turn.unchanged
    run = workspace.runs.get(turn.run.id)
    assert (run.status, run.model_version, run.reason, run.attempts) == ("succeeded", 1, "first", 1)
    assert run.data == {"visits": 1}
    assert run.window is not None
    assert run.metrics["rows"] > 1000
    assert "training begins" in workspace.runs.log(run.id)
    assert workspace.models.aliases(CASE) == {"champion": 1}
    assert workspace.endpoints.get(CASE).revision == 1
    assert_champion_is(workspace, 1)
    version = workspace.models.get(f"{CASE}/1")
    assert (version.run, version.dataset, version.dataset_version) == (run.id, "visits", 1)
    beats, no_worse = workspace.verdicts.list(run=run.id)[::-1]
    assert {beats.gate, no_worse.gate} == {"beats", "no_worse"}
    judged = beats if beats.gate == "beats" else no_worse
    assert judged.passed
    assert judged.low is not None
    assert judged.high is not None
    assert judged.low < judged.difference < judged.high < 0  # type: ignore[operator]
    assert judged.n > 400


def test_a_turn_in_which_nothing_is_new_makes_nothing(workspace: Workspace, root: Path) -> None:
    first = workspace.run(CASE)

    second = workspace.run(CASE)

    assert second.unchanged
    assert second.run.id == first.run.id
    assert second.outcome == first.outcome
    assert len(second.verdicts) == 2
    assert len(runs(workspace)) == 1
    assert len(workspace.models.versions(CASE)) == 1
    assert workspace.endpoints.get(CASE).revision == 1
    assert [what for _, what, _ in tiny.trainings(root)] == ["begun", "done"]


def test_force_trains_again_on_the_same_rows(workspace: Workspace) -> None:
    workspace.run(CASE)

    again = workspace.run(CASE, force=True)

    assert not again.unchanged
    assert len(runs(workspace)) == 2


def test_new_rows_make_a_new_version(workspace: Workspace, root: Path) -> None:
    workspace.run(CASE)
    tiny.land(root, 1)

    turn = workspace.run(CASE)

    assert not turn.unchanged
    assert turn.run.model_version == 2
    assert turn.run.data == {"visits": 2}
    assert workspace.models.aliases(CASE) == {"champion": 2, "previous": 1}
    assert workspace.endpoints.get(CASE).revision == 2
    assert_champion_is(workspace, 2)
    assert any(v.reference == "champion" and v.n > 500 for v in turn.verdicts)


def test_a_training_that_fails_leaves_the_champion(workspace: Workspace, root: Path) -> None:
    workspace.run(CASE)
    moods: list[tuple[str, type[RunFailed], str]] = [
        ("raises", RunFailed, "ZeroDivisionError: the moon is wrong"),
        ("none", RunFailed, "returned nothing"),
        ("nan", RunFailed, "nan for row 0"),
        ("killed", RunCrashed, "SIGKILL"),
    ]
    for number, (mood, kind, said) in enumerate(moods, start=1):
        tiny.land(root, number)
        tiny.feel(root, mood)

        with pytest.raises(kind, match=said):
            workspace.run(CASE)

        failed = runs(workspace)[-1]
        assert failed.status == "failed"
        assert said in failed.error
        assert failed.finished_at is not None
        assert failed.model_version is None
        assert "training begins" in workspace.runs.log(failed.id)
        assert kind is not RunFailed or "Traceback" in failed.traceback
        assert mood != "raises" or "project.py" in failed.traceback
        assert len(workspace.models.versions(CASE)) == 1
    assert_champion_is(workspace, 1)

    tiny.feel(root, "well")
    good = workspace.run(CASE)

    assert good.run.status == "succeeded"
    assert good.run.id != failed.id
    assert_champion_is(workspace, 2)


def test_a_training_that_hangs_is_stopped(opened: tiny.Opener, root: Path) -> None:
    tiny.make(root, timeout="2s")
    workspace = opened()
    tiny.feel(root, "hangs")

    with pytest.raises(RunTimeout, match="2s"):
        workspace.run(CASE)

    failed = runs(workspace)[-1]
    assert failed.status == "failed"
    assert "time limit" in failed.error
    assert "champion" not in workspace.models.aliases(CASE)


def test_a_gate_that_says_no_leaves_the_champion(workspace: Workspace, root: Path) -> None:
    workspace.run(CASE)
    tiny.land(root, 1)
    tiny.feel(root, "backwards")

    turn = workspace.run(CASE)

    assert turn.run.status == "rejected"
    assert turn.run.model_version == 2
    assert [v.passed for v in turn.verdicts] == [False, False]
    assert "turned down" in turn.outcome
    assert workspace.models.aliases(CASE) == {"champion": 1}
    assert workspace.endpoints.get(CASE).revision == 1
    assert_champion_is(workspace, 1)
    assert workspace.run(CASE).unchanged


@pytest.mark.parametrize("mood", ["raises", "none", "nan"])
def test_the_loop_turns_inline_as_well(opened: tiny.Opener, root: Path, mood: str) -> None:
    workspace = opened(compute__engine="inline")
    tiny.feel(root, mood)

    with pytest.raises(RunFailed):
        workspace.run(CASE)
    tiny.feel(root, "well")
    turn = workspace.run(CASE)

    assert [run.status for run in runs(workspace)] == ["failed", "succeeded"]
    assert "Traceback" in runs(workspace)[0].traceback
    assert turn.run.model_version == 1
    assert_champion_is(workspace, 1)
    assert "training begins" in workspace.runs.log(turn.run.id)


def test_both_engines_make_the_same_model(opened: tiny.Opener) -> None:
    beside = opened(compute__engine="process").run(CASE)

    inline = opened(compute__engine="inline").run(CASE, force=True)

    models = opened().models
    one, two = (models.get(f"{CASE}/{turn.run.model_version}") for turn in (beside, inline))
    assert one.digest == two.digest
    name = "test.candidate.log_loss"
    assert beside.run.metrics[name] == inline.run.metrics[name]


def test_a_gate_may_look_at_each_slice_and_its_verdicts_say_how(opened: tiny.Opener, root: Path) -> None:
    file = root / "project.py"
    sliced = 'td.gates.Beats("baseline", on=["log_loss", "roc_auc"], by="shop", min_rows=50, enough="any")'
    useful = 'td.gates.Useful("roc_auc", at_least=0.5)'
    file.write_text(
        file.read_text()
        .replace('td.gates.Beats("baseline")', sliced)
        .replace("gates=[", f"gates=[{useful}, ")
    )
    workspace = opened(compute__engine="inline")

    turn = workspace.run(CASE)

    kept = workspace.verdicts.list(run=turn.run.id)
    beats = [one for one in kept if one.gate == "beats"]
    assert {one.metric for one in beats} == {"log_loss", "roc_auc"}
    assert len({one.slice for one in beats}) > 1
    assert all(one.slice.startswith("shop=") for one in beats if one.slice)
    assert {(one.method, one.correction, one.passed) for one in beats} == {("influence", "holm", True)}
    (reached,) = [one for one in kept if one.gate == "useful"]
    assert (reached.reference, reached.reference_value, reached.passed) == ("threshold", 0.5, True)


def test_a_gate_that_raises_fails_its_run(opened: tiny.Opener, root: Path) -> None:
    file = root / "project.py"
    broken = "class Crooked:\n    name = 'crooked'\n    def spec(self):\n        return {}\n"
    broken += "    def judge(self, case):\n        return case.nowhere\n\n\n@td.model("
    file.write_text(file.read_text().replace("@td.model(", broken).replace("gates=[", "gates=[Crooked(), "))
    workspace = opened(compute__engine="inline")

    with pytest.raises(RunFailed, match="AttributeError.*nowhere"):
        workspace.run(CASE)

    assert [run.status for run in runs(workspace)] == ["failed"]
    assert "judge" in runs(workspace)[0].traceback


def test_changed_code_does_not_go_on_with_an_interrupted_run(opened: tiny.Opener, root: Path) -> None:
    workspace = opened(compute__engine="inline")
    stale = workspace.runs.start(CASE, reason="before the change", data={"visits": 1})

    turn = workspace.run(CASE)

    assert workspace.runs.get(stale.id).status == "failed"
    assert "code changed" in workspace.runs.get(stale.id).error
    assert turn.run.id != stale.id
    assert turn.run.status == "succeeded"


def test_an_action_may_leave_the_last_word_to_a_person(opened: tiny.Opener, root: Path) -> None:
    file = root / "project.py"
    file.write_text(file.read_text().replace("NewRows(500)]", "NewRows(500)], action='alert'"))
    workspace = opened(compute__engine="inline")

    turn = workspace.run(CASE)

    assert turn.run.status == "succeeded"
    assert workspace.models.aliases(CASE) == {}
    told = workspace.alerts.open()
    assert [alert.rule for alert in told] == ["candidate"]
    assert f"treadle models promote {CASE}/1" in told[0].text

    workspace.promote(f"{CASE}/1", reason="looks good")

    assert_champion_is(workspace, 1)
    assert workspace.alerts.open() == []


def test_a_challenger_gets_an_alias_and_no_traffic(opened: tiny.Opener, root: Path) -> None:
    file = root / "project.py"
    file.write_text(file.read_text().replace("NewRows(500)]", "NewRows(500)], action='challenger'"))
    workspace = opened(compute__engine="inline")

    workspace.run(CASE)

    assert workspace.models.aliases(CASE) == {"challenger": 1}
    assert workspace.endpoints.names() == []


def test_without_rows_there_is_nothing_to_turn(opened: tiny.Opener, root: Path) -> None:
    (root / "landing" / "0000.csv").unlink()
    workspace = opened()

    with pytest.raises(NotFound):
        workspace.run(CASE)

    assert runs(workspace) == []
