"""Features are read for requests in threads: together, with a limit of patience, and not at all while the store is gone."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import msgspec
import pytest

from treadle.core.errors import InvalidInput, NotFound, StoreUnavailable
from treadle.serving import fetching
from treadle.serving.fetching import FAILURES, Fetching
from treadle.serving.wanted import Wanted

AT = datetime(2013, 1, 1, tzinfo=UTC)


class Rows(msgspec.Struct):
    """What a read gave."""

    rows: list[list[object]]
    problem: str = ""
    schema: tuple[str, ...] = ("people",)
    at: datetime = AT

    def lacking(self):
        return [{"shop": "missing"} if row == [None] else {} for row in self.rows]


class Shops:
    """A store that knows how many people are in a shop, and that can hang or fail."""

    def __init__(self, *, patience=10.0, policy="null"):
        self.patience, self.policy = patience, policy
        self.open, self.fails = threading.Event(), False
        self.open.set()
        self.reads, self.busy, self.most = [], 0, 0

    def __call__(self, views, entities, /):
        self.busy += 1
        self.most = max(self.most, self.busy)
        self.reads.append(entities["shop"])
        self.open.wait(30)
        self.busy -= 1
        if "?" in entities["shop"]:
            raise InvalidInput("There is no shop '?'.")
        if self.fails:
            return self.without(views, entities, StoreUnavailable("It is gone."))
        return Rows([[{"north": 1.0, "south": 2.0}.get(shop)] for shop in entities["shop"]])

    def without(self, views, entities, error, /):
        del views
        if self.policy == "error":
            raise error
        return Rows([[None] for _ in entities["shop"]], problem=str(error))


def wanted(store, *shops):
    return Wanted(store, ("shop",), {"shop": list(shops)}, ("people",))


async def until(holds):
    """Let the loop turn until something holds."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


async def trouble(reading, store):
    """Ask until nobody waits any more."""
    async with asyncio.timeout(30):
        while reading.problem is None:
            await reading.read(wanted(store, "north"))


def run(test):
    reading = Fetching()
    try:
        return asyncio.run(test(reading))
    finally:
        reading.close()


def test_those_who_wait_at_the_same_time_are_read_for_together(monkeypatch):
    monkeypatch.setattr(fetching, "LATE", 60.0)
    store = Shops()

    async def test(reading):
        return await asyncio.gather(
            *(reading.read(wanted(store, *shops)) for shops in (["north"], ["south", "nowhere"], ["south"]))
        )

    first, second, third = run(test)

    assert (first.rows, second.rows, third.rows) == ([[1.0]], [[2.0], [None]], [[2.0]])
    assert second.lacking() == [{}, {"shop": "missing"}]
    assert (second.at, second.problem) == (AT, "")
    assert store.reads == [["north"], ["south", "nowhere", "south"]]


def test_what_one_asks_for_in_vain_is_its_own_matter():
    store = Shops()

    async def test(reading):
        asked = [reading.read(wanted(store, shop)) for shop in ("north", "?", "south")]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = run(test)

    assert (first.rows, third.rows) == ([[1.0]], [[2.0]])
    assert isinstance(second, InvalidInput)


def test_a_store_that_hangs_holds_up_neither_the_loop_nor_a_request_for_longer_than_its_patience():
    store = Shops(patience=0.02)
    store.open.clear()
    turns = 0

    async def test(reading):
        async def turning():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.ensure_future(turning())
        found = await reading.read(wanted(store, "north"))
        beside.cancel()
        store.open.set()
        return found

    found = run(test)

    assert found.rows == [[None]]
    assert "did not answer within 0.02 s" in found.problem
    assert turns > 10


def test_after_a_few_failures_nobody_waits_and_one_at_a_time_asks_again(monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    store = Shops(patience=0.02)
    store.open.clear()

    async def test(reading):
        await trouble(reading, store)
        store.open.set()
        await until(lambda: not store.busy)
        store.open.clear()
        store.reads.clear()
        store.most = 0
        for _ in range(200):
            reading.problem = reading.problem or StoreUnavailable("It is gone.")
            found = await reading.read(wanted(store, "north"))
            assert found.rows == [[None]]
        asked, most = len(store.reads), store.most
        store.open.set()
        await until(lambda: reading.problem is None)
        return asked, most, await reading.read(wanted(store, "north"))

    asked, most, found = run(test)

    assert asked <= 1
    assert most <= 1
    assert found.rows == [[1.0]]


def test_reads_that_fail_count_as_those_that_hang():
    store = Shops()
    store.fails = True

    async def test(reading):
        for _ in range(FAILURES):
            assert (await reading.read(wanted(store, "north"))).problem == "It is gone."
        return reading.problem

    assert str(run(test)) == "It is gone."


def test_views_that_are_gone_take_nothing_from_those_who_read_others():
    class Without(Shops):
        def __call__(self, views, entities, /):
            if views == ("gone",):
                raise NotFound("There is no view 'gone'.")
            return super().__call__(views, entities)

        def without(self, views, entities, error, /):
            return super().without(views, entities, error) if views != ("gone",) else self(views, entities)

    store = Without()
    gone = Wanted(store, ("gone",), {"shop": ["north"]}, ("rooms",))

    async def test(reading):
        told = [str(await failure(reading, gone)) for _ in range(FAILURES + 1)]
        found = await reading.read(wanted(store, "north"))
        reading.problem = StoreUnavailable("It is gone.")
        return told, found, str(await failure(reading, gone))

    async def failure(reading, asked):
        with pytest.raises(StoreUnavailable) as raised:
            await reading.read(asked)
        return raised.value

    told, found, without = run(test)

    assert (found.rows, found.problem) == ([[1.0]], "")
    assert {*told, without} == {
        "The features rooms cannot be read online: There is no view 'gone'. Send them with the request."
    }


def test_with_the_policy_error_whoever_stops_waiting_is_told_so():
    store = Shops(patience=0.02, policy="error")
    store.open.clear()

    async def test(reading):
        try:
            with pytest.raises(StoreUnavailable, match=r"within 0\.02 s"):
                await reading.read(wanted(store, "north"))
        finally:
            store.open.set()

    run(test)


def test_a_request_that_is_given_up_leaves_nothing_behind():
    store = Shops()
    store.open.clear()

    async def test(reading):
        first = asyncio.ensure_future(reading.read(wanted(store, "north")))
        await until(lambda: store.busy == 1)
        second = asyncio.ensure_future(reading.read(wanted(store, "south")))
        await asyncio.sleep(0)
        second.cancel()
        store.open.set()
        found = await first
        await asyncio.gather(second, return_exceptions=True)
        return found, await reading.read(wanted(store, "south"))

    found, again = run(test)

    assert (found.rows, again.rows) == ([[1.0]], [[2.0]])
