"""Why a model was due or not at any moment, requests that are served once, and turns that are decided under their lease."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput, NotFound


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(tiny.BEGIN + timedelta(weeks=1))


@pytest.fixture
def watched(opened: tiny.Opener, clock: ManualClock) -> Workspace:
    return opened(clock=clock, compute__engine="inline")


def policy(root: Path, text: str) -> None:
    """Give the model another policy."""
    file = root / "project.py"
    file.write_text(file.read_text().replace("td.Policy(triggers=[td.NewRows(500)])", text))


def test_each_moment_has_its_reason_with_the_numbers_of_then(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    begun = clock.now()
    watched.tick()
    for week in (1, 2, 3):
        clock.advance("1h")
        tiny.land(root, week, rows=200)
        watched.tick()

    said = {
        hours: watched.why("buys", at=begun + timedelta(hours=hours, minutes=30))
        for hours in (-1, 0, 1, 2, 3)
    }

    assert said[-1].decision is None
    assert "nobody had looked" in said[-1].text
    assert said[0].decision is not None
    assert said[0].decision.due
    assert said[0].text == "not due: nothing new to learn from since the last run"  # it was done meanwhile
    assert "200 new rows since the last run, of 500 needed" in said[1].text
    assert "400 new rows since the last run, of 500 needed" in said[2].text  # a tick that kept no decision
    assert said[1].until == said[2].until == begun + timedelta(hours=3)
    assert said[3].decision is not None
    assert said[3].decision.reason == "NewRows: 600 new rows since the last run, of 500 needed"
    assert [said[hour].champion.version for hour in (1, 3) if said[hour].champion] == [1, 2]


def test_what_another_policy_decided_is_told_as_it_was_kept(
    opened: tiny.Opener, root: Path, clock: ManualClock
) -> None:
    opened(clock=clock, compute__engine="inline").tick()
    policy(root, 'td.Policy(triggers=[td.Age("7d")])')
    after = opened(clock=clock, compute__engine="inline")

    found = after.why("buys", at=clock.now())

    assert not found.same_policy
    assert found.then is None
    assert found.text == "due: NewRows: 2,000 new rows so far, of 500 needed"


def test_a_request_is_served_once_and_says_by_which_run(watched: Workspace, clock: ManualClock) -> None:
    watched.tick()
    clock.advance("1h")
    asked = watched.request("buys", reason="a new\nprice list", actor="ada")
    assert watched.request("buys", reason="a new price list", actor="ada") == asked

    (look,) = watched.tick()
    (again,) = watched.tick()

    assert look.turn is not None
    assert not look.turn.unchanged
    assert look.turn.run.reason == "Request: asked for by ada: a new price list"
    assert again.turn is None
    assert [one.run for one in watched.requests.list("buys")] == [look.turn.run.id]
    assert watched.requests.waiting() == []


def test_a_request_needs_a_model_and_a_reason(watched: Workspace) -> None:
    with pytest.raises(NotFound):
        watched.request("bays", reason="why not")
    with pytest.raises(InvalidInput, match="1 to 500 characters"):
        watched.request("buys", reason=" \n")


def test_a_spent_budget_is_kept_as_the_reason(opened: tiny.Opener, root: Path, clock: ManualClock) -> None:
    policy(root, 'td.Policy(triggers=[td.NewRows(500)], budget=td.Budget(runs=1, per="7d"))')
    watched = opened(clock=clock, compute__engine="inline")
    watched.tick()
    tiny.land(root, 1, rows=700)
    clock.advance("1d")

    (held,) = watched.tick()
    clock.advance("7d")
    (done,) = watched.tick()

    assert held.turn is None
    assert held.decision is not None
    assert held.decision.reason.startswith("the budget is spent: 1 of 1 runs in 7d")
    assert done.turn is not None
    assert [one.due for one in watched.decisions.list("buys")] == [True, False, True]


def test_as_many_turns_as_may_be_hold_the_next_one_up(opened: tiny.Opener, clock: ManualClock) -> None:
    one = opened(clock=clock, compute__engine="inline", loop__concurrency=1)
    with one.ledger.lease("turns/1", holder="another watcher", ttl=60, clock=clock):
        (held,) = one.tick()
        one.tick()

    (done,) = one.tick()

    assert held.decision is not None
    assert not held.decision.due
    assert "as many as loop.concurrency allows" in held.decision.reason
    assert done.turn is not None
    assert [said.due for said in one.decisions.list("buys")] == [True, False]


def test_who_waited_for_another_watcher_sees_what_that_has_done(
    opened: tiny.Opener, root: Path, clock: ManualClock
) -> None:
    """Both find the model due; rows land between their turns, so that only deciding anew keeps the second one from training."""
    first, second = (opened(clock=clock, compute__engine="inline") for _ in range(2))
    second.ingest()
    decide = second._watcher._seen.decide  # type: ignore[attr-defined]

    def overtaken(model: object) -> object:
        found = decide(model)  # type: ignore[arg-type]
        if not done:
            done.append(first.tick())
            tiny.land(root, 1, rows=100)
        return found

    done: list[object] = []
    second._watcher._seen.decide = overtaken  # type: ignore[attr-defined, method-assign]

    (look,) = second.tick()

    assert look.turn is None
    assert not look.error
    assert [one.status for one in first.runs.list()] == ["succeeded"]
    assert [what for _, what, _ in tiny.trainings(root)] == ["begun", "done"]


def test_several_watchers_train_once(opened: tiny.Opener, root: Path, clock: ManualClock) -> None:
    watchers = [opened(clock=clock, compute__engine="inline") for _ in range(3)]
    threads = [threading.Thread(target=watcher.tick) for watcher in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert [what for _, what, _ in tiny.trainings(root)] == ["begun", "done"]
    assert len(watchers[0].runs.list()) == 1
    assert [one.due for one in watchers[0].decisions.list("buys")].count(True) == 1
