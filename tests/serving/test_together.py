from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving_wiring import SIGNATURE

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, ModelFailed
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.together import MOST_ROWS, SLOW, Together


class Model:
    """Answers with distance / 10,000, once it is let go, and notes how many rows it was asked for."""

    signature = SIGNATURE

    def __init__(self):
        self.calls, self.threads, self.slow = [], [], False
        self.free = threading.Event()

    def predict(self, columns):
        self.calls.append(len(columns["distance"]))
        self.threads.append(threading.current_thread().name)
        if self.slow:
            assert self.free.wait(10)
        if (columns["distance"] == 13).any():
            raise RuntimeError("unlucky")
        return {"prediction": columns["distance"] > 1000, "probability": columns["distance"] / 10_000}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def plane(endpoints, clock, revise, model):
    plane = Dataplane(endpoints.current, lambda variant: model, clock=clock)
    revise(("champion", 1, 1.0))
    plane.refresh()
    model.calls.clear()
    model.threads.clear()
    return plane


def prepared(plane, *distances):
    rows = [{"distance": d, "temp": None, "carrier": "UA"} for d in distances]
    return plane.prepare("delay", Call(read=lambda reader: reader.objects(rows), received=monotonic()))


def answers(plane, work, *, threads=2):
    with ThreadPoolExecutor(threads, thread_name_prefix="pool") as pool:
        together = Together(plane, pool, threads=threads)
        together.reading = 1

        async def all_of_it():
            return await asyncio.gather(*work(together), return_exceptions=True), together

        return asyncio.run(all_of_it())


def test_requests_that_wait_at_the_same_time_are_one_call(plane, model):
    found, together = answers(plane, lambda t: [t.run(prepared(plane, d)) for d in (100, 200, 300)])

    assert [answer.outputs["probability"].tolist() for answer in found] == [[0.01], [0.02], [0.03]]
    assert len({answer.id for answer in found}) == 3
    assert model.calls == [3]
    assert (together.calls, together.requests) == (1, 3)


def test_a_call_has_no_more_rows_than_are_good(plane, model):
    many = [100] * (MOST_ROWS - 1)

    found, _ = answers(
        plane,
        lambda t: [t.run(prepared(plane, *many)), t.run(prepared(plane, 1, 2)), t.run(prepared(plane, 3))],
    )

    assert [answer.batch.rows for answer in found] == [MOST_ROWS - 1, 2, 1]
    assert model.calls == [MOST_ROWS - 1, 3]


def test_each_is_refused_or_fails_by_itself(plane):
    found, _ = answers(plane, lambda t: [t.run(prepared(plane, d)) for d in (100, 13, 2**63, 300)])

    assert [type(one) for one in found[1:3]] == [ModelFailed, InvalidInput]
    assert [found[0].outputs["probability"].tolist(), found[3].outputs["probability"].tolist()] == [
        [0.01],
        [0.03],
    ]


def slow_line(plane, together):
    together._line(prepared(plane, 1).ready).seconds = 10 * SLOW


def test_a_slow_model_is_called_in_threads_and_those_who_come_meanwhile_are_its_next_call(plane, model):
    model.slow = True

    def work(together):
        slow_line(plane, together)

        async def later():
            while len(model.calls) < 1:
                await asyncio.sleep(0)
            waiting = [asyncio.ensure_future(together.run(prepared(plane, d))) for d in (200, 300, 400)]
            await asyncio.sleep(0)
            model.free.set()
            return [(await one).outputs["probability"].tolist() for one in waiting]

        return [together.run(prepared(plane, 100)), later()]

    found, _ = answers(plane, work, threads=1)

    assert found[0].outputs["probability"].tolist() == [0.01]
    assert found[1] == [[0.02], [0.03], [0.04]]
    assert model.calls == [1, 3]
    assert all(name.startswith("pool") for name in model.threads)


def test_the_model_is_not_called_for_one_who_has_gone(plane, model):
    model.slow = True

    def work(together):
        slow_line(plane, together)

        async def leave():
            while len(model.calls) < 1:
                await asyncio.sleep(0)
            leaving = asyncio.ensure_future(together.run(prepared(plane, 200)))
            staying = asyncio.ensure_future(together.run(prepared(plane, 300)))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.sleep(0)
            # What was asked for is not kept until the model, which may hang, has time for others.
            waiting = sum(len(line.slots) for line in together._lines.values())
            model.free.set()
            return waiting, (await staying).outputs["probability"].tolist()

        return [together.run(prepared(plane, 100)), leave()]

    found, together = answers(plane, work, threads=1)

    assert found[1] == (1, [0.03])
    assert model.calls == [1, 1]
    assert together.abandoned == 1


def test_whatever_is_raised_nobody_waits_for_ever(plane, monkeypatch):
    def broken(several):
        raise MemoryError

    monkeypatch.setattr(plane, "run_together", broken)

    found, _ = answers(plane, lambda t: [t.run(prepared(plane, 100)), t.run(prepared(plane, 200))])

    assert [type(one) for one in found] == [MemoryError, MemoryError]


def test_one_who_is_alone_is_answered_before_the_loop_turns(plane):
    with ThreadPoolExecutor(1) as pool:
        together = Together(plane, pool, threads=1)

        with pytest.raises(StopIteration) as done:
            together.run(prepared(plane, 100)).send(None)

    assert done.value.value.outputs["probability"].tolist() == [0.01]


def test_one_who_comes_when_a_model_has_just_become_slow_is_answered_behind_those_who_wait(plane, model):
    found = []

    def work(together):
        line = together._line(prepared(plane, 1).ready)

        async def first():
            await together.run(prepared(plane, *[100] * (MOST_ROWS - 6)))
            line.seconds = 10 * SLOW

        async def last():
            found.append(asyncio.ensure_future(together.run(prepared(plane, *[300] * 200))))

        async def waited():
            await asyncio.gather(first(), last(), together.run(prepared(plane, *[200] * 100)))
            return await found[0]

        return [waited()]

    (answer,), _ = answers(plane, work)

    assert answer.batch.rows == 200
