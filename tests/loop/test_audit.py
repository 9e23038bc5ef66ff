"""The audit log tells every change with who and why, from what each change keeps itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput


@pytest.fixture
def changed(opened: tiny.Opener) -> Workspace:
    """A workspace in which a day's changes were made, an hour apart."""
    clock = ManualClock(tiny.BEGIN + timedelta(weeks=1))
    workspace = opened(clock=clock, compute__engine="inline")
    workspace.tick()
    clock.advance("1h")
    workspace.request("buys", reason="new prices", actor="ada")
    clock.advance("1h")
    workspace.tick()
    clock.advance("1h")
    workspace.promote("buys/1", reason="the old one was better", actor="bob")
    return workspace


def test_each_change_is_told_with_who_and_why(changed: Workspace) -> None:
    found = changed.audit()

    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    told = {(one.kind, one.subject, one.actor, one.reason) for one in found}
    assert ("request", "model:buys", "ada", "new prices") in told
    assert ("alias", "buys@champion", "bob", "the old one was better") in told
    assert ("revision", "endpoint:buys", "bob", "the old one was better") in told
    first, second = sorted(run.id for run in changed.runs.list())
    assert {one.actor for one in found if one.kind == "alias"} == {first, second, "bob"}
    assert [one.what for one in found if one.kind == "request"] == [f"asked for a training; {second}"]
    assert {one.what for one in changed.audit(kind="run")} == {
        f"{what} {run}" for run in (first, second) for what in ("started", "succeeded")
    }


def test_what_is_asked_for_narrows_it_down(changed: Workspace) -> None:
    latest = changed.clock.now()

    assert {one.actor for one in changed.audit(actor="bob")} == {"bob"}
    assert {one.subject for one in changed.audit(subject="endpoint:")} == {"endpoint:buys"}
    assert {one.at for one in changed.audit(since=latest)} == {latest}
    assert latest not in {one.at for one in changed.audit(until=latest)}
    assert len(changed.audit(limit=2)) == 2
    with pytest.raises(InvalidInput, match="alias"):
        changed.audit(kind="alia")
