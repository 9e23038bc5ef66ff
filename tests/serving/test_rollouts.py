from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from treadle.core.errors import Conflict, InvalidDeclaration, InvalidInput, NotFound
from treadle.core.records import Variant
from treadle.core.rollout import RolloutState, Stage
from treadle.serving import guards
from treadle.serving.endpoints import Endpoints
from treadle.serving.guard import made
from treadle.serving.plan import Rollout
from treadle.serving.rollouts import Rollouts
from treadle.serving.tallies import Reported, Tally
from treadle.store.ledger.ledger import Ledger

PLAN = Rollout(steps=[0.05, 0.5], bake="10m", shadow=0.5)


def version(number):
    return SimpleNamespace(model="delay", version=number, ref=f"model_version:delay/{number}")


@pytest.fixture
def rollouts(ledger, endpoints, clock, revise):
    revise(("champion", 1, 1.0))
    return Rollouts(ledger, endpoints, clock)


@pytest.fixture
def started(rollouts):
    return rollouts.start("delay", version(2), PLAN, actor="anna", reason="new features")


def shares(endpoints):
    return [(v.name, v.version, v.weight, v.shadow) for v in endpoints.get("delay").variants]


def promote(endpoints):
    only = [Variant(name="champion", model="delay", version=2)]
    return lambda writer: endpoints.revise(
        "delay", only, actor="", reason="", expected=None, connection=writer
    )


def test_a_rollout_goes_through_its_steps(rollouts, started, endpoints):
    seen = [shares(endpoints)]

    for _ in range(2):
        started = rollouts.advance(started, actor="watcher", reason="all is well")
        seen.append(shares(endpoints))
    done = rollouts.finish(started, promote(endpoints), actor="watcher", reason="all is well")

    assert [one[1][1:] for one in seen] == [(2, 0.0, 0.5), (2, 0.05, 0.0), (2, 0.5, 0.0)]
    assert shares(endpoints) == [("champion", 2, 1.0, 0.0)]
    assert [change.what for change in done.history] == ["started", "advanced", "advanced", "promoted"]
    assert [change.revision for change in done.history] == [2, 3, 4, 5]
    assert rollouts.get("delay") == rollouts.get(done.id) == done


def test_every_change_has_an_actor_and_a_reason_also_at_the_endpoint(rollouts, started, endpoints):
    rollouts.advance(started, actor="watcher", reason="all is well")

    found = [(r.actor, r.reason, r.rollout) for r in endpoints.revisions("delay")[1:]]

    assert found == [("anna", "new features", started.id), ("watcher", "all is well", started.id)]


def test_it_is_rolled_back(rollouts, started, endpoints):
    rollouts.report(
        Reported(server="s1", endpoint="delay", revision=2, tallies={"challenger": Tally(requests=3)})
    )

    done = rollouts.roll_back(started, actor="guard", reason="it fails")

    assert shares(endpoints) == [("champion", 1, 1.0, 0.0)]
    assert done.told() == "rolled back by guard: it fails"
    assert rollouts.tallies(started)[1].requests == 0
    assert rollouts.list(open_only=True) == []


def test_it_is_paused_and_goes_on_from_the_beginning_of_its_step(rollouts, started, clock, endpoints):
    paused = rollouts.pause(started, actor="anna", reason="a holiday")
    with pytest.raises(Conflict, match="Expected it running"):
        rollouts.advance(paused, actor="watcher", reason="")
    clock.advance("5h")

    resumed = rollouts.resume(paused, actor="anna", reason="back")

    assert (resumed.status, resumed.since) == ("running", clock.now())
    assert endpoints.get("delay").revision == 2


def test_a_change_of_what_somebody_else_has_changed_is_refused(rollouts, started):
    rollouts.advance(started, actor="watcher", reason="")

    for change in (rollouts.advance, rollouts.pause, rollouts.roll_back):
        with pytest.raises(Conflict, match="step 2 of 3"):
            change(started, actor="late", reason="")


def test_an_endpoint_that_somebody_else_has_changed_is_left_alone(rollouts, started, endpoints, revise):
    revise(("pinned", 7, 1.0))

    for change in (rollouts.advance, rollouts.roll_back):
        with pytest.raises(Conflict, match="revision 3"):
            change(started, actor="watcher", reason="")
    with pytest.raises(Conflict, match="revision 3"):
        rollouts.finish(started, promote(endpoints), actor="watcher", reason="")

    assert shares(endpoints) == [("pinned", 7, 1.0, 0.0)]


def test_of_many_that_roll_back_at_once_one_does_on_every_ledger(ledger_url, tmp_path, clock):
    with Ledger.open(ledger_url, root=tmp_path, timeout=10) as ledger:
        endpoints = Endpoints(ledger, clock)
        rollouts, refused = Rollouts(ledger, endpoints, clock), []
        alone = [Variant(name="champion", model="delay", version=1)]
        endpoints.revise("delay", alone, actor="test", reason="", expected=0)
        started = rollouts.start("delay", version(2), PLAN, actor="anna", reason="")

        def roll_back():
            try:
                rollouts.roll_back(started, actor="server", reason="it fails")
            except Conflict:
                refused.append(1)

        threads = [threading.Thread(target=roll_back) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (len(refused), endpoints.get("delay").revision) == (5, 3)
        assert [change.what for change in rollouts.get("delay").history] == ["started", "rolled back"]


def test_a_newer_version_takes_the_place_of_one_that_is_on_its_way(rollouts, started, endpoints):
    fresh = rollouts.start("delay", version(3), PLAN, actor="watcher", reason="newer")

    assert rollouts.get(started.id).history[-1].reason == "delay/3 takes its place"
    assert [(v.version, v.shadow) for v in endpoints.get("delay").variants] == [(1, 0.0), (3, 0.5)]
    assert rollouts.list(open_only=True) == [fresh]


def test_a_start_that_cannot_be_is_refused(rollouts, started, revise, endpoints):
    with pytest.raises(Conflict, match="has a rollout already"):
        rollouts.start("delay", version(2), PLAN, actor="anna", reason="")
    with pytest.raises(InvalidInput, match="answers with delay/1 already"):
        rollouts.start("delay", version(1), PLAN, actor="anna", reason="")
    revise(("a", 1, 0.5), ("b", 2, 0.5))
    with pytest.raises(InvalidInput, match="has the variants a, b"):
        rollouts.start("delay", version(3), PLAN, actor="anna", reason="")
    with pytest.raises(Conflict, match="revision 3, but 2 was expected"):
        rollouts.start("delay", version(3), PLAN, actor="anna", reason="", expected=2)
    with pytest.raises(NotFound):
        rollouts.start("dealy", version(3), PLAN, actor="anna", reason="")

    assert endpoints.get("delay").revision == 3


def test_a_rollout_without_guards_says_so(rollouts, endpoints):
    rollouts.start("delay", version(2), Rollout(guards=[]), actor="anna", reason="in a hurry")

    assert endpoints.get("delay").reason == "in a hurry (UNGUARDED: nothing watches the 3 steps)"


def test_counts_of_several_servers_are_added_up_by_step(rollouts, started):
    for server, revision, requests in (("s1", 1, 100), ("s1", 2, 3), ("s2", 2, 4)):
        tally = Tally()
        for _ in range(requests):
            tally.answered(0.002)
        rollouts.report(
            Reported(server=server, endpoint="delay", revision=revision, tallies={"challenger": tally})
        )

    primary, challenger = rollouts.tallies(started)

    assert (primary.requests, challenger.requests, sum(challenger.seconds.values())) == (0, 7, 7)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"steps": [0.5, 0.1]}, "growing shares"),
        ({"steps": [0.5, 1.0]}, "growing shares"),
        ({"steps": [0, 0.5]}, "growing shares"),
        ({"steps": []}, "a step at least"),
        ({"shadow": 2}, "from 0 to 1"),
        ({"requests": -1}, "0 or more"),
        ({"guards": ["errors"]}, "not a guard"),
    ],
)
def test_plans_that_cannot_be_are_refused(said, told):
    with pytest.raises(InvalidDeclaration, match=told):
        Rollout(**said)


def test_a_plan_may_be_a_shadow_only():
    assert Rollout(steps=[], shadow=1.0, bake="1m").stages == (Stage(shadow=1.0, bake=60, requests=100),)


def test_guards_are_kept_with_their_rollout(rollouts):
    plan = Rollout(guards=[guards.Errors(margin=0.02), guards.Latency(quantiles=[0.9])])
    state: RolloutState = rollouts.start("delay", version(2), plan, actor="anna", reason="")

    found = [made(spec) for spec in rollouts.get(state.id).guards]

    assert found == list(plan.guards)
