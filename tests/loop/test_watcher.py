"""The watcher turns what is due, says why the rest is not, and writes nothing when nothing changed."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import pytest
import tiny
from sqlalchemy import select

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import RunFailed
from treadle.loop.facts import Finding
from treadle.store.ledger import tables as t


class NeverAgain:
    """A trigger of somebody's own that fails."""

    def check(self, facts: object) -> Finding:
        msg = "no more"
        raise OSError(msg)


def contents(workspace: Workspace) -> str:
    """Everything that the ledger and the tables hold, as text."""
    with workspace.ledger.read() as connection:
        rows = {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in t.metadata.sorted_tables
        }
    names = sorted(workspace.tables.names())
    return json.dumps([rows, {name: workspace.tables.version(name) for name in names}], indent=1)


def files(root: Path) -> dict[str, int]:
    """Every file of the state on disk, and when it was written."""
    state = root / ".treadle"
    return {str(p.relative_to(state)): p.stat().st_mtime_ns for p in state.rglob("*") if p.is_file()}


@pytest.fixture
def watched(opened: tiny.Opener, clock: ManualClock) -> Workspace:
    return opened(clock=clock, compute__engine="inline")


def reasons(workspace: Workspace, model: str = "buys") -> list[str]:
    """Kept decisions, oldest first."""
    return [said.reason for said in workspace.decisions.list(model)][::-1]


def second_model(root: Path) -> None:
    """Declare one more model over the same rows, before the first, that always fails."""
    file = root / "project.py"
    text = file.read_text()
    failing = (
        text[text.index("@td.model(") :]
        .replace("def buys", "def aims")
        .replace("return fit(data, run)", "raise OSError('no aim')")
    )
    file.write_text(text.replace("@td.model(", failing + "\n\n@td.model(", 1))


def test_a_due_model_is_turned(watched: Workspace) -> None:
    (look,) = watched.tick()

    assert look.decision.due
    assert look.turn is not None
    assert look.turn.run.reason == "NewRows: 2,000 new rows so far, of 500 needed"
    assert watched.models.aliases("buys") == {"champion": 1}
    assert [said.due for said in watched.decisions.list("buys")] == [True]


def test_a_tick_on_which_nothing_changed_writes_nothing(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    watched.tick()
    clock.advance("1h")
    watched.tick()  # keeps why it is not due
    before, on_disk = contents(watched), files(root)

    for _ in range(3):
        clock.advance("1h")
        (look,) = watched.tick()

    assert not look.decision.due
    assert look.turn is None
    assert contents(watched) == before
    assert files(root) == on_disk


def test_a_reason_for_waiting_is_kept_once(watched: Workspace, root: Path, clock: ManualClock) -> None:
    watched.tick()
    for week in (1, 2):
        tiny.land(root, week, rows=200)
        clock.advance("1h")
        watched.tick()
        watched.tick()
    tiny.land(root, 3, rows=200)
    clock.advance("1h")
    watched.tick()

    assert [said.due for said in watched.decisions.list("buys")] == [True, False, True]
    assert reasons(watched)[1] == "no trigger fires: NewRows: 200 new rows since the last run, of 500 needed"
    assert reasons(watched)[2] == "NewRows: 600 new rows since the last run, of 500 needed"
    assert watched.models.aliases("buys") == {"champion": 2, "previous": 1}


def test_a_failed_run_raises_an_alert_backs_off_and_resolves_it(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    tiny.feel(root, "raises")

    (failed,) = watched.tick()
    (held,) = watched.tick()
    (alert,) = watched.alerts.open()
    tiny.feel(root, "well")
    clock.advance("10m")
    (good,) = watched.tick()

    assert "the moon is wrong" in failed.error
    assert not held.decision.due
    assert "after 1 failed runs in a row" in held.decision.reason
    assert (alert.rule, alert.subject) == ("failed-run", "model:buys")
    assert "the moon is wrong" in alert.text
    assert good.turn is not None
    assert watched.alerts.open() == []
    assert [said.due for said in watched.decisions.list("buys")][::-1] == [True, False, True]


def test_a_failure_that_was_not_told_of_is_told_at_the_next_look(watched: Workspace, root: Path) -> None:
    tiny.feel(root, "raises")
    with pytest.raises(RunFailed):
        watched.run("buys")

    look = watched.run_if_due("buys")
    told = watched.alerts.open()
    tiny.feel(root, "well")
    watched.run("buys")
    watched.run_if_due("buys")

    assert not look.decision.due
    assert [(alert.rule, alert.subject) for alert in told] == [("failed-run", "model:buys")]
    assert watched.alerts.open() == []


def test_a_decision_is_kept_with_the_run_that_it_starts(watched: Workspace, root: Path) -> None:
    tiny.feel(root, "raises")

    with pytest.raises(RunFailed):
        watched.run_if_due("buys")

    assert [said.due for said in watched.decisions.list("buys")] == [True]
    assert [alert.rule for alert in watched.alerts.open()] == ["failed-run"]


def test_a_failing_model_does_not_keep_the_others_waiting(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    second_model(root)

    looks = watched.tick()

    assert [(look.model, bool(look.error)) for look in looks] == [("aims", True), ("buys", False)]
    assert watched.models.aliases("buys") == {"champion": 1}
    assert [alert.subject for alert in watched.alerts.open()] == ["model:aims"]


def test_a_model_that_cannot_be_looked_at_is_told_of_until_it_can(
    opened: tiny.Opener, root: Path, clock: ManualClock
) -> None:
    opened(clock=clock, compute__engine="inline").tick()
    file = root / "project.py"
    good = file.read_text()
    file.write_text(
        good.replace("train=0.6, validation=0.1, test=0.3", "train=0.5, validation=0.2, test=0.3")
    )

    broken = opened(clock=clock, compute__engine="inline")
    looks = broken.tick()
    told = broken.alerts.open()
    file.write_text(good)
    mended = opened(clock=clock, compute__engine="inline")
    mended.tick()

    assert [(look.decision, bool(look.error)) for look in looks] == [(None, True)]
    assert [(alert.rule, alert.subject) for alert in told] == [("stuck", "model:buys")]
    assert mended.alerts.open() == []


def test_the_watcher_goes_on_with_an_interrupted_run(watched: Workspace, root: Path) -> None:
    class Pulled(BaseException):
        """The plug was pulled."""

    def pulled(*_: object, **__: object) -> None:
        raise Pulled

    engine = watched.rooms.engine
    whole = engine.run
    engine.run = pulled
    with pytest.raises(Pulled):
        watched.run("buys")
    engine.run = whole

    (look,) = watched.tick()

    assert look.turn is not None
    (run,) = watched.runs.list(model="buys")
    assert (run.status, run.attempts) == ("succeeded", 2)


def test_a_failure_that_nobody_foresaw_is_told_and_the_others_are_looked_at(
    watched: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_model(root)
    models = watched.project.models
    broken = dataclasses.replace(models["aims"], policy=dataclasses.replace(models["aims"].policy))
    object.__setattr__(broken.policy, "triggers", [NeverAgain()])
    monkeypatch.setitem(models, "aims", broken)

    looks = watched.tick()

    assert [(look.model, look.error) for look in looks] == [("aims", "OSError: no more"), ("buys", "")]
    assert [(alert.rule, alert.text) for alert in watched.alerts.open()] == [("stuck", "OSError: no more")]


def test_before_anything_landed_there_is_nothing_to_do(watched: Workspace, root: Path) -> None:
    (root / "landing" / "0000.csv").unlink()

    (look,) = watched.tick()

    assert not look.decision.due
    assert look.decision.reason == "no row has a known outcome yet"


def test_watching_ends_when_it_is_told_to(watched: Workspace) -> None:
    stop = threading.Event()
    stop.set()

    watched.watch(interval=3600, stop=stop)

    assert watched.decisions.list("buys") == []
