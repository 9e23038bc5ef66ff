from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from trials import ROW, call, rolling, subject_of

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput
from treadle.serving.careful import Careful
from treadle.serving.dataplane import Call
from treadle.serving.plan import Rollout
from treadle.serving.together import Together
from treadle.serving.wanted import Open

PLAN = Rollout(steps=[0.5])


@pytest.fixture
def start(tmp_path, endpoints, clock, revise):
    revise(("champion", 1, 1.0))
    return lambda **how: rolling(tmp_path, endpoints, clock, PLAN, **how)[0]


def asked(plane, count=1, *, rounds=1, **more):
    """What the challenger's subject is answered, several times at once, so many times after each other."""
    careful = Careful(plane, **more)
    subject = subject_of(plane, "challenger")

    async def ask():
        found = []
        for _ in range(rounds):
            prepared = [plane.prepare("delay", call(subject=subject)) for _ in range(count)]
            found += await asyncio.gather(*(careful.run(one) for one in prepared))
        return found

    return asyncio.run(ask())


def tally(plane, name="challenger"):
    return plane.loaded["delay"].router.tallies[name]


def test_a_challenger_answers_its_subjects_and_is_counted(start):
    plane = start()

    answers = asked(plane, 20)

    assert {answer.variant.version for answer in answers} == {2}
    assert (tally(plane).requests, tally(plane).failed, tally(plane, "champion").requests) == (20, 0, 0)
    assert answers[0].propensity == 0.5


def test_where_it_fails_the_first_variant_answers_and_it_has_a_failure(start):
    plane = start(fails=1.0)

    answers = asked(plane, 5)

    assert {answer.variant.version for answer in answers} == {1}
    assert "but challenger failed" in answers[0].assignment
    assert answers[0].propensity == 1.0
    assert (tally(plane).requests, tally(plane).failed) == (5, 5)


def test_one_that_hangs_costs_its_time_limit_and_is_then_given_up(start):
    plane = start(hangs=True)

    answers = asked(plane, 2, limit=0.05, rounds=8)

    assert {answer.variant.version for answer in answers} == {1}
    assert "took over 0.05 s" in answers[0].assignment
    assert "is not asked any more" in answers[-1].assignment
    assert "hang" in tally(plane).given_up
    assert tally(plane).failed < 16


def test_what_it_refuses_but_the_first_variant_takes_is_its_failure(start):
    plane = start()
    challenger = plane.loaded["delay"].ready["delay", 2].reader

    def read(reader):
        if reader is challenger:
            raise InvalidInput("no such field", field="rows[0].rain")
        return reader.objects([ROW])

    asked_for = Call(read=read, received=0.0, subject=subject_of(plane, "challenger"))
    answer = plane.predict("delay", asked_for)

    assert (answer.variant.version, tally(plane).failed) == (1, 1)


def test_what_both_refuse_is_the_callers_matter(start):
    plane = start()
    wrong = Call(
        read=lambda reader: reader.objects([{"distance": "far"}]),
        received=0.0,
        subject=subject_of(plane, "challenger"),
    )

    with pytest.raises(InvalidInput):
        plane.predict("delay", wrong)

    assert tally(plane).failed == 0


def test_in_process_it_is_the_same(start):
    plane = start(fails=1.0)

    answer = plane.predict("delay", call(subject=subject_of(plane, "challenger")))

    assert (answer.variant.version, tally(plane).failed) == (1, 1)


def test_without_a_rollout_nothing_is_counted_and_a_failure_is_one(start, revise):
    plane = start(fails=1.0)
    revise(("champion", 1, 0.5), ("challenger", 2, 0.5))
    plane.refresh()

    prepared = plane.prepare("delay", call(subject=subject_of(plane, "challenger")))

    assert (prepared.choice.on_trial, prepared.choice.tally) == (False, None)


def test_one_with_which_the_process_grows_is_given_up(start):
    plane = start()
    sizes = iter(range(0, 10**9, 2**20))

    answers = asked(plane, 100, rounds=2, growth=2**20, memory=lambda: next(sizes))

    assert "grown by over 1 MiB since delay/2 is asked" in tally(plane).given_up
    assert answers[-1].variant.version == 1


def test_one_that_hangs_longer_than_callers_wait_has_failures_and_is_given_up(start):
    plane = start(hangs=True)
    careful = Careful(plane, limit=0.3)
    subject = subject_of(plane, "challenger")

    async def ask():
        for _ in range(8):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(careful.run(plane.prepare("delay", call(subject=subject))), 0.2)
            if tally(plane).given_up:
                break

    asyncio.run(ask())

    assert tally(plane).failed
    assert "hang" in tally(plane).given_up


def test_what_neither_of_the_two_can_answer_is_the_matter_of_its_own_request(start):
    plane = start(fails=1.0)
    careful = Careful(plane)
    subject = subject_of(plane, "challenger")
    primary = plane.loaded["delay"].ready["delay", 1].reader

    def read(reader):
        if reader is primary:
            raise InvalidInput("no such field", field="rows[0].rain")
        return reader.objects([ROW])

    async def ask():
        calls = [call(subject=subject), Call(read=read, received=0.0, subject=subject), call(subject=subject)]
        runs = [careful.run(plane.prepare("delay", one)) for one in calls]
        return await asyncio.gather(*runs, return_exceptions=True)

    found = asyncio.run(ask())

    assert [type(one).__name__ for one in found] == ["Answer", "InvalidInput", "Answer"]


class Far:
    """Features of a store on another machine: an event loop may wait for them, and may not ask for them itself."""

    def read(self):
        assert threading.current_thread() is not threading.main_thread()
        threading.Event().wait(0.1)
        return []

    async def arrive(self, fetching):
        await asyncio.sleep(0.1)
        return []


@pytest.mark.parametrize("how", [{"fails": 1.0}, {"hangs": True}], ids=str)
def test_features_that_the_first_variant_needs_are_waited_for_by_nobody_else(start, how):
    plane = start(**how)
    champion = plane.loaded["delay"].ready["delay", 1].reader
    subject, turns = subject_of(plane, "challenger"), []

    def read(reader):
        own = reader.objects([ROW])
        return own if reader is not champion else Open.of(1, Far(), lambda _: own)

    async def ask():
        with ThreadPoolExecutor(1) as pool:
            together = Together(plane, pool, threads=1)

            async def otherwise(prepared):
                return await together.run(await together.fill(prepared))

            careful = Careful(plane, limit=0.2, otherwise=otherwise)
            asked = Call(read=read, received=monotonic(), subject=subject)
            answer = asyncio.ensure_future(careful.run(plane.prepare("delay", asked)))
            while not answer.done():
                await asyncio.sleep(0.01)
                turns.append(monotonic())
            together.close()
            return answer.result()

    answer = asyncio.run(ask())

    assert answer.variant.version == 1
    assert len(turns) > 2  # the event loop went on meanwhile
