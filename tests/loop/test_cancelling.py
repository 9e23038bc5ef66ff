"""A run that is cancelled ends within seconds, whoever trains it, and nothing becomes of it; one that failed is tried again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import seeking

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import monotonic
from treadle.core.errors import Conflict, InvalidInput, NotFound, RunCancelled, TreadleError
from treadle.core.records import Run


def running(workspace: Workspace, model: str) -> Run:
    """Return the run of a model that has begun to train."""
    while True:
        found = workspace.runs.list(model=model, status="running")
        if found and (workspace.root / "trainings.txt").is_file():
            return found[0]
        time.sleep(0.02)


class Turn(threading.Thread):
    """Turns the loop of a model in a workspace of its own."""

    def __init__(self, root: Path, model: str, url: str) -> None:
        super().__init__(daemon=True)
        self._root, self._model, self._url = root, model, url
        self.raised: TreadleError | None = None

    def run(self) -> None:
        with open_workspace(self._root, overrides={"ledger.url": self._url}) as workspace:
            try:
                workspace.run(self._model)
            except TreadleError as error:
                self.raised = error


@pytest.mark.slow
def test_a_cancelled_training_ends_and_nothing_becomes_of_it(
    root: Path, workspace: Workspace, ledger_url: str
) -> None:
    (root / "mood.txt").write_text("hangs")
    turn = Turn(root, "buys", ledger_url)
    turn.start()
    run = running(workspace, "buys")

    began = monotonic()
    workspace.cancel(run.id, reason="the wrong  rows", actor="ada")
    turn.join(20)

    assert not turn.is_alive()
    assert monotonic() - began < 20
    assert isinstance(turn.raised, RunCancelled)
    assert str(turn.raised) == "Cancelled by ada: the wrong rows"
    ended = workspace.runs.get(run.id)
    assert (ended.status, ended.given_up, ended.error) == ("failed", True, "Cancelled by ada: the wrong rows")
    assert "training begins" in workspace.runs.log(run.id)
    assert not workspace.runs._folders.joinpath(run.id).exists()
    assert workspace.models.names() == []


@pytest.mark.slow
def test_a_cancelled_search_ends_too(tmp_path: Path) -> None:
    search = 'td.Search(space={"c": td.Float(0.1, 1)}, trials=50, parallel=2)'
    root = seeking.make(tmp_path / "shop", search, body="begin(run, 'tried')\ntime.sleep(600)")
    url = f"sqlite:///{root / '.treadle' / 'ledger.db'}"
    turn = Turn(root, "seeks", url)
    turn.start()
    with open_workspace(root) as workspace:
        while not (root / "trials.txt").is_file():
            time.sleep(0.02)
        run = workspace.runs.list(status="running")[0]

        workspace.cancel(run.id, reason="too long")
        turn.join(30)

        assert not turn.is_alive()
        assert isinstance(turn.raised, RunCancelled)
        assert workspace.runs.get(run.id).status == "failed"


def test_what_has_ended_is_not_cancelled(inline: Workspace) -> None:
    run = inline.run("buys").run

    with pytest.raises(Conflict, match="has ended as succeeded already"):
        inline.cancel(run.id, reason="too late")
    with pytest.raises(NotFound):
        inline.cancel("run_nobody", reason="x")


def test_an_interrupted_run_that_is_cancelled_is_not_gone_on_with(inline: Workspace) -> None:
    left = inline.runs.start("buys", reason="by hand")

    with pytest.raises(InvalidInput, match="the reason is empty"):
        inline.cancel(left.id, reason=" ")
    inline.cancel(left.id, reason="not needed")
    turn = inline.run("buys")

    assert turn.run.id != left.id
    assert inline.runs.get(left.id).status == "failed"


def test_what_failed_is_asked_for_again(root: Path, inline: Workspace) -> None:
    (root / "mood.txt").write_text("raises")
    with pytest.raises(TreadleError):
        inline.run("buys")
    failed = inline.runs.list()[0]

    asked = inline.retry(failed.id, reason="the moon is right", actor="bob")

    assert asked.reason == f"the moon is right (again, as {failed.id} was failed)"
    assert [one.id for one in inline.requests.waiting("buys")] == [asked.id]
    (root / "mood.txt").write_text("well")
    succeeded = inline.run("buys").run
    with pytest.raises(Conflict, match="there is nothing to try again"):
        inline.retry(succeeded.id, reason="x")
