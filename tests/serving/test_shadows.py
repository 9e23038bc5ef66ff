from __future__ import annotations

from time import perf_counter

import pytest
from trials import call, rolling, until

from pace import within
from treadle.serving.plan import Rollout
from treadle.serving.shadows import HANGS, WAITING, Shadows

BESIDE = Rollout(steps=[], shadow=1.0)


class World:
    """A plane with a shadow, and what was logged of it."""

    def __init__(self, plane, **more):
        self.plane, self.kept = plane, []
        self.shadows = Shadows(self.kept.append, **more)

    @property
    def tally(self):
        return self.plane.loaded["delay"].router.tallies["challenger"]

    def ask(self, count=1):
        answers = []
        for _ in range(count):
            asked = call()
            answers.append(self.plane.predict("delay", asked))
            self.shadows.offer(self.plane.loaded["delay"], answers[-1], asked)
        return answers


@pytest.fixture
def world(tmp_path, endpoints, clock, revise):
    revise(("champion", 1, 1.0))

    def make(plan=BESIDE, *, limit=2.0, growth=2**40, memory=None, **how):
        plane = rolling(tmp_path, endpoints, clock, plan, **how)[0]
        return World(plane, limit=limit, growth=growth, memory=memory)

    return make


def test_a_shadow_is_asked_beside_the_answer_and_logged(world):
    of = world()

    (answer,) = of.ask()
    until(lambda: of.kept)

    entry = of.kept[0]
    assert answer.variant.version == 1
    assert (entry.request_id, entry.version, entry.variant, entry.shadow) == (
        answer.id,
        2,
        "challenger",
        True,
    )
    assert (entry.probabilities, entry.propensity) == ([0.002], 1.0)
    assert (of.tally.requests, of.tally.failed) == (1, 0)


def test_it_gets_its_share_of_the_requests(world):
    of = world(Rollout(steps=[], shadow=0.3))

    for _ in range(40):
        of.ask(10)
        until(lambda: not any(shadow._jobs for shadow in of.shadows._shadows.values()))
    until(lambda: of.tally.requests == len(of.kept))

    assert 80 <= of.tally.requests <= 160


def test_one_that_raises_has_failures_and_rests(world):
    of = world(fails=1.0)

    for _ in range(30):
        answers = of.ask(10)
        if of.tally.dropped:
            break
        until(lambda: not any(shadow._jobs for shadow in of.shadows._shadows.values()))

    assert {answer.variant.version for answer in answers} == {1}
    assert of.tally.failed >= 20
    assert of.tally.dropped > 0
    assert of.kept == []


def test_one_that_hangs_is_left_and_in_the_end_given_up(world):
    of = world(hangs=True, limit=0.02)

    def given_up():
        of.ask()
        for shadow in of.shadows._shadows.values():
            shadow._rests_until = 0.0
        return of.tally.given_up

    until(given_up)

    assert f"{HANGS} calls of delay/2 took over 0.02 s" in of.tally.given_up
    assert of.tally.failed == HANGS


def test_one_that_is_slow_drops_what_does_not_fit(world):
    of = world(seconds=0.2)

    of.ask(WAITING + 10)

    assert 8 <= of.tally.dropped <= 10


def test_one_with_which_the_process_grows_is_given_up(world):
    sizes = iter(range(0, 10**9, 2**20))
    of = world(growth=2**20, memory=lambda: next(sizes))

    def given_up():
        of.ask()
        return of.tally.given_up

    until(given_up)

    assert "grown by over 1 MiB since delay/2 is asked" in of.tally.given_up


def test_what_an_earlier_revision_answered_is_not_asked(world, revise):
    of = world()
    asked = call()
    answer = of.plane.predict("delay", asked)
    revise(("champion", 1, 1.0))
    of.plane.refresh()

    of.shadows.offer(of.plane.loaded["delay"], answer, asked)

    assert of.shadows._shadows == {}


def test_what_a_shadow_that_hangs_costs_the_answer_is_microseconds(world, record_testsuite_property):
    of = world(hangs=True)
    (answer,) = of.ask()
    loaded, asked, times = of.plane.loaded["delay"], call(), []

    for _ in range(2_000):
        begun = perf_counter()
        of.shadows.offer(loaded, answer, asked)
        times.append(perf_counter() - begun)

    median, p99 = sorted(times)[1_000], sorted(times)[1_980]
    record_testsuite_property(
        "shadow_offer_microseconds, median and p99", [round(1e6 * t, 1) for t in (median, p99)]
    )
    assert median < within(50e-6)
