from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from online_world import START, World, at, values, view
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidDeclaration, InvalidInput, NotFound, StoreUnavailable
from treadle.features.aggregates import Count, Distinct, Last, Max, Mean, Min, Sum
from treadle.features.targets import head_of

ARRIVING = ("origin", "observed_at", "reported_at", "temp")


@pytest.fixture
def world(tmp_path: Path, online_url: str, clock: ManualClock) -> Iterator[World]:
    """Temperatures of origins and, by carrier and origin, delays; on each back end."""
    clock.set(at(60))
    delays = view("delays", entity=["carrier", "origin"], fields={"temp": "delay", "day": "day"})
    opened = World(tmp_path, view(ttl="1h"), delays, url=online_url, clock=clock)
    yield opened
    opened.close()


def land(world: World) -> None:
    """Land and materialise some rows of both views."""
    world.land(values(("JFK", 0, 1.0), ("EWR", 50, 2.0)))
    rows = values(
        ("AA", "JFK", 10, 5.0), ("AAJ", "FK", 10, 6.0), names=("carrier", "origin", "observed_at", "temp")
    )
    world.land(rows.with_columns(pl.col("observed_at").dt.date().alias("day")), view="delays")
    for name in ("weather", "delays"):
        world.online.materialise(name)


def test_one_read_gives_many_entities_and_views_as_one_row_each(world: World) -> None:
    land(world)

    found = world.online.read(
        ["weather", "delays"], {"origin": ["JFK", "EWR", "FK"], "carrier": ["AA", "AA", "AAJ"]}
    )

    assert found.columns == {
        "temp": [1.0, 2.0, None],
        "delay": [5.0, None, 6.0],
        "day": [START.date(), None, START.date()],
    }
    assert found.rows == [[1.0, 5.0, START.date()], [2.0, None, None], [None, 6.0, START.date()]]
    assert found.dicts()[1] == {"temp": 2.0, "delay": None, "day": None}
    assert found.frame().schema == {"temp": pl.Float64(), "delay": pl.Float64(), "day": pl.Date()}
    assert not found.degraded


@pytest.mark.parametrize(("minute", "found"), [(-1, None), (0, 1.0), (60, 1.0), (60.0001, None)])
def test_the_ttl_holds_on_read_with_both_ends(world: World, minute: float, found: float | None) -> None:
    land(world)

    assert world.read("JFK", at=at(minute)) == [found]


def test_without_a_moment_it_is_now(world: World, clock: ManualClock) -> None:
    land(world)
    now = world.online.read(["weather"], {"origin": ["JFK", "EWR"]}).columns["temp"]
    clock.advance("1m")

    assert now == [1.0, 2.0]
    assert world.online.read(["weather"], {"origin": ["JFK", "EWR"]}).columns["temp"] == [None, 2.0]


def test_a_read_says_how_fresh_its_values_are(world: World) -> None:
    land(world)

    fresh = world.online.read(
        ["weather", "delays"], {"origin": ["JFK", "EWR", "LGA"], "carrier": ["AA"] * 3}
    ).freshness

    assert (fresh["weather"].found, fresh["weather"].missing) == (2, 1)
    assert (fresh["weather"].newest, fresh["weather"].oldest) == (600.0, 3600.0)
    assert (fresh["delays"].found, fresh["delays"].newest) == (1, 3000.0)


def test_the_freshness_of_each_view_is_told(world: World) -> None:
    before = {one.view: one for one in world.online.freshness()}
    land(world)
    world.land(values(("LGA", 55, 3.0)))

    after = {one.view: one for one in world.online.freshness()}

    assert [(one.version, one.newest, one.behind) for one in before.values()] == [(None, None, 0)] * 2
    weather, delays = after["weather"], after["delays"]
    assert (weather.version, weather.behind, weather.entities, weather.newest) == (1, 1, 2, at(50))
    assert (weather.age, weather.until, weather.problem) == (600.0, at(60), "")
    assert (delays.version, delays.behind, delays.entities) == (1, 0, 2)


def test_nothing_and_empty_reads_are_fine(world: World) -> None:
    land(world)

    nobody = world.online.read(["weather"], {"origin": []})

    assert (nobody.rows, nobody.columns) == ([], {"temp": []})
    assert nobody.frame().schema == {"temp": pl.Float64()}
    assert world.online.read(["weather", "delays"], {"origin": [None], "carrier": ["AA"]}).rows == [
        [None] * 3
    ]


@pytest.mark.parametrize(
    ("views", "rows", "error", "message"),
    [
        (["weathr"], {"origin": ["JFK"]}, NotFound, "Did you mean 'weather'"),
        (["weather"], {"orign": ["JFK"]}, InvalidInput, "No column 'origin'"),
        (["weather"], {"origin": [7]}, InvalidInput, "is no value of the entity 'origin'"),
        (["weather", "delays"], {"origin": ["JFK"], "carrier": []}, InvalidInput, "not of one length"),
        (["weather", "weather"], {"origin": ["JFK"]}, InvalidDeclaration, "Give it another name"),
        ([], {"origin": ["JFK"]}, InvalidInput, "no feature view"),
    ],
)
def test_what_cannot_be_read_is_named(
    world: World, views: list[str], rows: dict[str, Any], error: type[Exception], message: str
) -> None:
    land(world)

    with pytest.raises(error, match=message):
        world.online.read(views, rows)


def test_a_view_without_rows_says_what_to_do(world: World) -> None:
    with pytest.raises(NotFound, match="treadle ingest weather"):
        world.online.read(["weather"], {"origin": ["JFK"]})


@pytest.mark.parametrize("entity", [("AA", "JFK"), {"origin": "JFK", "carrier": "AA"}])
def test_a_forgotten_entity_is_gone(world: World, entity: Any) -> None:
    land(world)

    removed = [world.online.forget("delays", entity) for _ in range(2)]

    assert removed == [1, 0]
    rows = {"origin": ["JFK", "FK"], "carrier": ["AA", "AAJ"]}
    assert world.online.read(["delays"], rows).columns["delay"] == [None, 6.0]


def test_an_entity_is_forgotten_under_every_declaration(
    tmp_path: Path, online_url: str, clock: ManualClock
) -> None:
    clock.set(at(60))
    names = ("origin", "observed_at", "temp", "wind")
    worlds = [
        World(tmp_path, view(fields=fields), url=online_url, clock=clock)
        for fields in (["temp"], ["temp", "wind"])
    ]
    worlds[0].land(values(("JFK", 1, 1.0, 2), ("EWR", 1, 1.0, 2), names=names))
    for world in worlds:
        world.online.materialise("weather")

    removed = worlds[1].online.forget("weather", "JFK")

    assert removed == 2
    assert [world.read("JFK", "EWR", at=at(60)) for world in worlds] == [[None, 1.0]] * 2
    for world in worlds:
        world.close()


def test_a_writer_that_was_taken_for_dead_does_not_bring_back_what_was_forgotten(world: World) -> None:
    land(world)
    namespace = world.store.namespaces(b"treadle/a%20project/weather/")[0]
    stale = head_of(world.store, namespace).pack()
    key = namespace + b"JFK"
    (value,) = world.store.get([key])
    assert value is not None

    world.online.forget("weather", "JFK")
    with pytest.raises(Exception, match="Somebody else writes"):
        world.store.put(namespace, [(key, value)], head=stale)

    assert world.store.get([key]) == [None]


def test_no_entity_of_that_shape_is_an_error(world: World) -> None:
    with pytest.raises(InvalidInput, match="Expected a value for each of: carrier, origin"):
        world.online.forget("delays", "AA")


def test_what_earlier_declarations_left_is_collected(
    tmp_path: Path, online_url: str, clock: ManualClock
) -> None:
    clock.set(at(60))
    before = World(tmp_path, view(), view("old"), url=online_url, clock=clock)
    for name in ("weather", "old"):
        before.land(values(("JFK", 1, 1.0)), view=name)
        before.online.materialise(name)
    after = World(tmp_path, view(), url=online_url, clock=clock)
    stale = [name.decode() for name in after.store.namespaces(b"treadle/a%20project/old/")]

    young = after.online.collect(dry_run=False)
    clock.advance("25h")
    told = after.online.collect()
    removed = after.online.collect(dry_run=False)

    assert young == []
    assert (told, removed) == (stale, stale)
    assert len(after.store.namespaces()) == 1
    assert after.read("JFK", at=at(60)) == [1.0]
    before.close()
    after.close()


def test_no_byte_of_what_was_forgotten_is_left_in_the_folder(tmp_path: Path, clock: ManualClock) -> None:
    clock.set(at(60))
    world = World(tmp_path, view(), url="online", clock=clock)
    names = [f"passenger-{n:05}-of-flight" for n in range(3_000)]
    for minute in range(3):
        world.land(values(*((name, minute, float(minute)) for name in names)))
        world.online.materialise("weather")
    gone = names[7::100]
    for name in gone:
        world.online.forget("weather", name)
    before = _bytes_of(tmp_path / "online")

    world.online.collect(dry_run=False)

    after = _bytes_of(tmp_path / "online")
    assert any(name.encode() in before for name in gone)
    assert [name for name in gone if name.encode() in after] == []
    assert all(name.encode() in after for name in names if name not in gone)
    assert world.read(gone[0], names[0], at=at(60)) == [None, 2.0]
    world.close()


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_many_threads_read_while_values_are_written(world: World, clock: ManualClock) -> None:
    land(world)
    done = threading.Event()

    def read() -> set[float | None]:
        seen: set[float | None] = set()
        while not done.is_set():
            rows = world.online.read(["weather"], {"origin": ["JFK", "EWR"]}, at=at(60)).rows
            seen.add(rows[0][0])
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for minute in range(1, 4):
            world.land(values(("JFK", minute, float(minute))))
            world.online.materialise("weather")
        done.set()

    seen = set().union(*(reader.result() for reader in readers))
    assert seen <= {1.0, 2.0, 3.0}
    assert world.read("JFK", at=at(60)) == [3.0]


@pytest.mark.parametrize(("policy", "raises"), [("null", False), ("error", True)])
def test_a_store_that_is_gone_is_told_by_policy(
    tmp_path: Path, clock: ManualClock, policy: str, raises: bool
) -> None:
    clock.set(at(60))
    nobody = "redis://127.0.0.1:1/0"
    world = World(tmp_path, view(), url=nobody, clock=clock, timeout=2, on_failure=policy)
    world.land(values(("JFK", 1, 1.0)))

    if raises:
        with pytest.raises(StoreUnavailable, match="127.0.0.1:1"):
            world.online.read(["weather"], {"origin": ["JFK"]})
    else:
        found = world.online.read(["weather"], {"origin": ["JFK", "EWR"]})
        assert (found.columns, found.degraded) == ({"temp": [None, None]}, True)
        assert "does not answer" in found.problem
    (fresh,) = world.online.freshness()
    assert (fresh.behind, fresh.entities) == (1, 0)
    assert "does not answer" in fresh.problem
    with pytest.raises(StoreUnavailable):
        world.online.materialise("weather")
    world.close()


@pytest.mark.slow
def test_online_equals_offline_for_100_000_entities_and_moments(
    tmp_path: Path, online_url: str, clock: ManualClock
) -> None:
    rng = np.random.default_rng(7)
    minutes, parts = 10_000, 10
    declared = view(
        arrived="reported_at", ttl="30h", fields={"temp": "temp", "wind": "wind", "seen_at": "seen_at"}
    )
    spans = {"over": "20h"}
    made = {
        "n": Count(**spans),
        "some": Count("wind", **spans),
        "total": Sum("temp", **spans),
        "mean": Mean("wind", **spans),
        "kinds": Distinct("wind", over="3h"),
        "low": Min("temp", **spans),
        "high": Max("wind", **spans),
        "last": Last("wind", over="2h"),
    }
    calls = view(
        "calls",
        entity=["origin", "gate"],
        arrived="reported_at",
        event="call",
        fields={"temp": "call_temp"},
        aggregates=made,
    )
    world = World(tmp_path, declared, calls, url=online_url, clock=clock)
    weather = [_weather(rng, 3_000, minutes) for _ in range(parts)]
    called = [_calls(rng, 1_000, minutes, number) for number in range(parts)]
    asked = told = 0
    for number, minute in enumerate(np.sort(rng.integers(0, minutes, 20))):
        if number % 2 == 0:
            world.land(weather[number // 2])
            world.land(called[number // 2], view="calls")
        clock.set(at(int(minute)))
        for name in world.views:
            world.online.materialise(name)
        spine = _spine(rng, 5_000, int(minute))
        for name, rows in (("weather", spine), ("calls", spine.head(250))):
            online = world.online.read([name], rows.drop("t").to_dict(as_series=False)).frame()
            offline = world.joined(rows, name).drop(rows.columns)
            assert_frame_equal(online, offline, check_exact=True)
            told += online[online.columns[0]].count()
        asked += spine.height
    assert asked == 100_000
    assert 20_000 < told < 90_000
    world.close()


def _moments(minutes: np.ndarray) -> pl.Series:
    start = int(START.timestamp())
    return pl.Series((minutes.astype(np.int64) * 60 + start) * 1_000_000).cast(pl.Datetime("us", "UTC"))


def _weather(rng: np.random.Generator, rows: int, minutes: int) -> pl.DataFrame:
    time = rng.integers(0, minutes + 500, rows) // 20 * 20
    late = np.where(rng.random(rows) < 0.3, rng.integers(-60, 2_000, rows), rng.integers(0, 20, rows))
    return pl.DataFrame(
        {
            "origin": rng.integers(0, 300, rows).astype(str),
            "observed_at": _moments(time),
            "reported_at": _moments(time + late),
            "temp": rng.random(rows).round(3),
            "wind": pl.Series(rng.integers(0, 9, rows)).set(pl.Series(rng.random(rows) < 0.2), None),
            "seen_at": _moments(time - 1),
        }
    ).unique(["origin", "observed_at", "reported_at"], maintain_order=True)


def _calls(rng: np.random.Generator, rows: int, minutes: int, number: int) -> pl.DataFrame:
    rows_ = _weather(rng, rows, minutes).drop("seen_at")
    return rows_.with_columns(
        origin=pl.Series(rng.integers(0, 12, rows_.height).astype(str)),
        gate=pl.Series(rng.integers(0, 10, rows_.height)),
        call=pl.Series(np.arange(rows_.height) + number * rows),
    )


def _spine(rng: np.random.Generator, rows: int, minute: int) -> pl.DataFrame:
    origins = pl.Series(rng.integers(0, 320, rows).astype(str))
    return pl.DataFrame(
        {
            "origin": origins.set(pl.Series(rng.random(rows) < 0.02), None),
            "gate": rng.integers(0, 11, rows),
            "t": [at(minute)] * rows,
        }
    )


def test_the_moment_is_the_row_s_own_to_the_microsecond(world: World) -> None:
    world.land(values(("JFK", 0, 1.0)))
    world.online.materialise("weather")
    edge = START + timedelta(hours=1)

    assert world.read("JFK", at=edge) == [1.0]
    assert world.read("JFK", at=edge + timedelta(microseconds=1)) == [None]
    assert world.read("JFK", at=START - timedelta(microseconds=1)) == [None]
