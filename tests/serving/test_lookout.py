from __future__ import annotations

import msgspec
import pytest
from serving_wiring import FakeLoader
from trials import behave, call, rolling, subject_of, version

from treadle.core.records import to_json
from treadle.serving import guards
from treadle.serving.dataplane import Dataplane
from treadle.serving.lookout import Lookout
from treadle.serving.plan import Rollout
from treadle.serving.rollouts import Rollouts
from treadle.store.ledger import tables


@pytest.fixture
def start(tmp_path, endpoints, clock, revise):
    revise(("champion", 1, 1.0))

    def make(plan=None, **how):
        plane, rollouts, state = rolling(tmp_path, endpoints, clock, plan or Rollout(steps=[0.5]), **how)
        return plane, rollouts, state, Lookout(plane, rollouts, server="s1", every=0)

    return make


def ask(plane, count):
    for variant in ("champion", "challenger"):
        subject = subject_of(plane, variant)
        for _ in range(count):
            plane.predict("delay", call(subject=subject))


def test_what_is_counted_is_reported(start):
    plane, rollouts, state, lookout = start()
    ask(plane, 10)

    lookout.look()

    assert [tally.requests for tally in rollouts.tallies(state)] == [10, 10]


def test_a_challenger_that_fails_is_rolled_back_without_a_watcher(start, endpoints):
    plane, rollouts, state, lookout = start(fails=0.3)
    ask(plane, 150)

    lookout.look()

    ended = rollouts.get(state.id)
    assert ended.status == "rolled back"
    assert (ended.history[-1].actor, ended.history[-1].verdicts[0].status) == ("guard errors", "bad")
    assert [variant.version for variant in endpoints.get("delay").variants] == [1]


def test_a_challenger_that_is_slow_is_rolled_back(start):
    plane, rollouts, state, lookout = start(seconds=0.01)
    ask(plane, 120)

    lookout.look()

    assert rollouts.get(state.id).history[-1].actor == "guard latency"


def test_one_that_is_as_good_stays(start):
    plane, rollouts, state, lookout = start()

    for _ in range(10):
        ask(plane, 60)
        lookout.look()

    assert rollouts.get(state.id).status == "running"


def test_a_look_at_which_nothing_changed_writes_nothing(start, monkeypatch):
    plane, rollouts, state, lookout = start()
    ask(plane, 5)
    lookout.look()
    before = rollouts.get(state.id)
    written = []
    monkeypatch.setattr(rollouts, "report", written.append)

    lookout.look()

    assert (written, rollouts.get(state.id)) == ([], before)


def test_without_guards_nothing_is_rolled_back(start):
    plane, rollouts, state, lookout = start(Rollout(steps=[0.5], guards=[]), fails=1.0)
    ask(plane, 100)

    lookout.look()

    assert rollouts.get(state.id).status == "running"


def test_guards_that_need_the_log_are_left_to_the_watcher(start):
    plane, rollouts, state, lookout = start(Rollout(steps=[0.5], guards=[guards.Outcome()]), fails=1.0)
    ask(plane, 100)

    lookout.look()

    assert rollouts.get(state.id).status == "running"


def test_of_two_servers_that_find_the_same_one_rolls_back(start, endpoints):
    plane, rollouts, _, lookout = start(fails=1.0)
    other = Lookout(plane, rollouts, server="s2", every=0)
    ask(plane, 60)

    lookout.look()
    other.look()

    assert endpoints.get("delay").revision == 3


def test_a_guard_that_is_not_installed_here_is_left_to_others(start, ledger):
    plane, rollouts, state, lookout = start(fails=1.0)
    strange = msgspec.structs.replace(state, guards=({"guard": "weather"}, *state.guards))
    with ledger.write() as connection:
        connection.execute(tables.rollouts.update().values(body=to_json(strange)))
    ask(plane, 60)

    lookout.look()

    assert rollouts.get(state.id).history[-1].actor == "guard errors"


def test_a_challenger_that_cannot_be_loaded_is_rolled_back_and_the_old_one_goes_on(
    tmp_path, endpoints, clock, revise
):
    revise(("champion", 1, 1.0))
    plane = Dataplane(endpoints.current, FakeLoader(tmp_path), clock=clock)
    plane.refresh()
    behave(tmp_path, broken="digest")
    rollouts = Rollouts(endpoints.ledger, endpoints, clock)
    state = rollouts.start("delay", version(), Rollout(guards=[]), actor="test", reason="")
    lookout, seen = Lookout(plane, rollouts, server="s1", every=0), []

    for _ in range(3):
        plane.refresh(force=True)
        lookout.look()
        seen.append(rollouts.get(state.id).status)

    assert seen == ["running", "running", "rolled back"]
    assert "digest" in rollouts.get(state.id).history[-1].reason
    assert plane.predict("delay", call()).variant.version == 1
