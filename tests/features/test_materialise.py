from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from online_world import START, World, at, values, view
from treadle.core.clock import ManualClock
from treadle.core.errors import Conflict, NotFound
from treadle.features.aggregates import Count, Last, Mean
from treadle.features.targets import head_of
from treadle.store.online.online import Online

ARRIVING = ("origin", "observed_at", "reported_at", "temp")


@pytest.fixture
def world(tmp_path: Path, online_url: str, clock: ManualClock) -> Iterator[World]:
    """A view of temperatures, on each back end."""
    clock.set(at(1_000))
    opened = World(tmp_path, view(), url=online_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def arriving(tmp_path: Path, online_url: str, clock: ManualClock) -> Iterator[World]:
    """A view whose values arrive some time after their moment, on each back end."""
    clock.set(at(1_000))
    opened = World(tmp_path, view(arrived="reported_at"), url=online_url, clock=clock)
    yield opened
    opened.close()


def test_the_newest_value_of_each_entity_can_be_read(world: World) -> None:
    world.land(values(("JFK", 1, 1.0), ("EWR", 5, 5.0), ("JFK", 3, 3.0), ("JFK", 2, 2.0)))

    done = world.online.materialise("weather")

    assert (done.version, done.entities, done.written, done.newest) == (1, 2, 2, at(5))
    assert world.read("JFK", "EWR", "LGA", None, at=at(1_000)) == [3.0, 5.0, None, None]


def test_a_second_run_writes_only_what_is_new(world: World) -> None:
    world.land(values(("JFK", 1, 1.0), ("EWR", 1, 1.0)))
    world.online.materialise("weather")
    before = world.store.state(world.store.namespaces()[0])

    nothing = world.online.materialise("weather")
    unchanged = world.store.state(world.store.namespaces()[0])
    world.land(values(("EWR", 2, 2.0)))
    something = world.online.materialise("weather")

    assert (nothing.written, something.written, something.version) == (0, 1, 2)
    assert unchanged == before
    assert world.read("JFK", "EWR", at=at(1_000)) == [1.0, 2.0]


def test_a_late_value_of_an_earlier_moment_changes_nothing(world: World) -> None:
    world.land(values(("JFK", 5, 5.0)))
    world.online.materialise("weather")
    world.land(values(("JFK", 4, 4.0)))

    world.online.materialise("weather")

    assert world.read("JFK", at=at(1_000)) == [5.0]


def test_of_one_moment_the_value_that_arrived_last_counts_whenever_it_landed(arriving: World) -> None:
    arriving.land(values(("JFK", 5, 9, 9.0), names=ARRIVING))
    arriving.online.materialise("weather")
    arriving.land(values(("JFK", 5, 7, 7.0), ("EWR", 5, 7, 7.0), ("EWR", 5, 9, 9.0), names=ARRIVING))

    arriving.online.materialise("weather")

    assert arriving.read("JFK", "EWR", at=at(1_000)) == [9.0, 9.0]


def test_what_cannot_be_seen_yet_waits_for_its_moment(arriving: World) -> None:
    arriving.land(
        values(
            ("JFK", 1, 1, 1.0), ("JFK", 2, 30, 2.0), ("EWR", 40, 1, 4.0), ("LGA", 1, 1, 0.0), names=ARRIVING
        )
    )
    found = {}
    for minute in (10, 29, 30, 39, 40):
        written = arriving.online.materialise("weather", until=at(minute)).written
        found[minute] = (written, arriving.read("JFK", "EWR", at=at(minute)))

    assert found == {
        10: (2, [1.0, None]),
        29: (0, [1.0, None]),
        30: (1, [2.0, None]),
        39: (0, [2.0, None]),
        40: (1, [2.0, 4.0]),
    }


def test_what_waits_is_not_forgotten_when_more_lands(arriving: World) -> None:
    arriving.land(values(("JFK", 2, 30, 2.0), ("EWR", 1, 1, 1.0), names=ARRIVING))
    arriving.online.materialise("weather", until=at(10))
    arriving.land(values(("EWR", 5, 50, 5.0), ("EWR", 3, 12, 3.0), names=ARRIVING))

    arriving.online.materialise("weather", until=at(20))
    before = arriving.read("JFK", "EWR", at=at(20))
    arriving.online.materialise("weather", until=at(30))
    then = arriving.read("JFK", "EWR", at=at(30))
    arriving.online.materialise("weather", until=at(50))

    assert (before, then) == ([None, 3.0], [2.0, 3.0])
    assert arriving.read("JFK", "EWR", at=at(50)) == [2.0, 5.0]


def test_time_never_moves_back(world: World) -> None:
    world.land(values(("JFK", 5, 5.0)))
    world.online.materialise("weather", until=at(10))
    world.land(values(("JFK", 7, 7.0)))

    done = world.online.materialise("weather", until=at(6))

    assert done.until == at(10)
    assert world.read("JFK", at=at(10)) == [7.0]


def test_rows_that_are_taken_out_bring_back_the_value_before(world: World) -> None:
    world.land(values(("JFK", 1, 1.0), ("JFK", 5, -99.0), ("EWR", 5, -99.0), ("LGA", 2, 2.0)))
    world.online.materialise("weather")
    world.datasets.delete("weather", where={"temp": -99.0}, reason="a broken thermometer")

    done = world.online.materialise("weather")

    assert done.entities == 2
    assert world.read("JFK", "EWR", "LGA", at=at(1_000)) == [1.0, None, 2.0]


def test_an_emptied_store_is_filled_anew(world: World) -> None:
    world.land(values(("JFK", 1, 1.0)))
    world.online.materialise("weather")
    world.store.clear(world.store.namespaces()[0])

    done = world.online.materialise("weather")

    assert done.written == 1
    assert world.read("JFK", at=at(1_000)) == [1.0]


def test_a_store_that_is_emptied_in_between_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.land(values(("JFK", 1, 1.0)))
    put = Online.put

    def put_into_nothing(store: Online, namespace: bytes, items: object, *, head: bytes) -> int:
        store.clear(namespace)
        return put(store, namespace, items, head=head)

    with monkeypatch.context() as patch:
        patch.setattr(Online, "put", put_into_nothing)
        with pytest.raises(Conflict, match="emptied"):
            world.online.materialise("weather")

    assert world.online.materialise("weather").written == 1


def test_a_changed_declaration_has_values_of_its_own(
    tmp_path: Path, online_url: str, clock: ManualClock
) -> None:
    clock.set(at(1_000))
    names = ("origin", "observed_at", "temp", "wind")
    before = World(tmp_path, view(), url=online_url, clock=clock)
    before.land(values(("JFK", 1, 1.0, 10), names=names))
    before.online.materialise("weather")
    after = World(tmp_path, view(fields=["wind", "temp"]), url=online_url, clock=clock)

    unknown = after.online.read(["weather"], {"origin": ["JFK"]}).columns
    after.online.materialise("weather")

    assert unknown == {"wind": [None], "temp": [None]}
    assert after.online.read(["weather"], {"origin": ["JFK"]}).columns == {"wind": [10], "temp": [1.0]}
    assert before.read("JFK", at=at(1_000)) == [1.0]
    before.close()
    after.close()


def test_without_rows_it_says_what_to_do(world: World) -> None:
    with pytest.raises(NotFound, match="treadle ingest weather"):
        world.online.materialise("weather")


def test_many_at_once_come_to_the_same(tmp_path: Path, online_url: str, clock: ManualClock) -> None:
    clock.set(at(1_000))
    worlds = [World(tmp_path, view(), url=online_url, clock=clock) for _ in range(4)]
    worlds[0].land(values(*((f"{n}", n % 7, float(n)) for n in range(500))))

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda world: world.online.materialise("weather"), worlds))

    assert sum(one.written for one in done) == 500
    assert {one.entities for one in done} == {500}
    assert worlds[0].read("0", "499", at=at(1_000)) == [0.0, 499.0]
    for world in worlds:
        world.close()


def test_of_events_of_one_moment_the_one_that_landed_last_counts(
    tmp_path: Path, online_url: str, clock: ManualClock
) -> None:
    clock.set(at(1_000))
    declared = view(event="flight")
    world = World(tmp_path, declared, url=online_url, clock=clock)
    names = ("origin", "observed_at", "flight", "temp")
    world.land(
        values(
            *(("JFK", 5, n, float(n)) for n in range(50)), ("EWR", 5, 9, 9.0), ("EWR", 5, 1, 1.0), names=names
        )
    )

    world.online.materialise("weather")

    assert world.read("JFK", "EWR", at=at(1_000)) == [49.0, 1.0]
    world.close()


def test_aggregates_are_those_of_the_moment_of_the_read(
    tmp_path: Path, online_url: str, clock: ManualClock
) -> None:
    clock.set(at(1_000))
    made = {
        "n": Count(over="10m"),
        "mean": Mean("temp", over="10m"),
        "last_at": Last("observed_at", over="1h"),
    }
    world = World(tmp_path, view(fields=(), aggregates=made), url=online_url, clock=clock)
    world.land(values(("JFK", 1, 1.0), ("JFK", 5, 5.0), ("EWR", 1, 9.0)))
    world.online.materialise("weather", until=at(6))
    read = {
        minute: world.online.read(["weather"], {"origin": ["JFK", "LGA", None]}, at=at(minute))
        for minute in (6, 12, 20)
    }
    world.land(values(("JFK", 3, 3.0)))
    world.online.materialise("weather", until=at(6))

    assert read[6].columns == {"n": [2, 0, None], "mean": [3.0, None, None], "last_at": [at(5), None, None]}
    assert read[12].columns == {"n": [1, 0, None], "mean": [5.0, None, None], "last_at": [at(5), None, None]}
    assert read[20].columns == {"n": [0, 0, None], "mean": [None, None, None], "last_at": [at(5), None, None]}
    assert world.online.read(["weather"], {"origin": ["JFK"]}, at=at(6)).columns["n"] == [3]
    world.close()


_RUN = """
import sys
from pathlib import Path
from online_world import World, at, view
from treadle.core.clock import ManualClock

world = World(Path(sys.argv[1]), view(), url=sys.argv[2], clock=ManualClock(at(1_000)))
print("begins", flush=True)
world.online.materialise("weather")
print("ended", flush=True)
"""


@pytest.mark.slow
def test_a_killed_run_is_made_up_for_by_the_next(world: World, online_url: str) -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame(
        {
            "origin": rng.integers(0, 20_000, 60_000).astype(str),
            "observed_at": pl.Series(rng.permutation(60_000)).cast(pl.Int64) * 1000
            + int(START.timestamp() * 1e6),
            "temp": rng.random(60_000),
        }
    ).with_columns(pl.col("observed_at").cast(pl.Datetime("us", "UTC")))
    for part in rows.iter_slices(20_000):
        world.land(part)
    ended = [_killed(world, online_url, after=seconds) for seconds in (0.0, 0.05, 0.2)]

    done = world.online.materialise("weather")

    newest = rows.sort("observed_at").group_by("origin", maintain_order=True).last()
    found = world.online.read(["weather"], {"origin": newest["origin"].to_list()}, at=at(1_000))
    assert found.columns["temp"] == newest["temp"].to_list()
    assert done.entities == newest.height
    assert done.version == 3
    assert not head_of(world.store, world.store.namespaces()[0]).renewing
    assert not all(ended)


def _killed(world: World, url: str, *, after: float) -> bool:
    """Run in a process that is killed so many seconds after it began; say whether it had ended."""
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(world.root), url],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    rest = process.communicate(timeout=60)[0]
    return "ended" in rest
