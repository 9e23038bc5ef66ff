"""The online store is lost: what a read gives meanwhile, and what it gives afterwards (R14)."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import services
from online_world import START, World, at, view
from pace import within
from treadle.core.clock import ManualClock
from treadle.features.lookup import OnlineRows

ORIGINS = 500
#: What `[online] timeout` is by default, and what a read may take while the store is lost.
TIMEOUT, LIMIT = 0.04, within(0.05)


def world_on(
    server: services.PrivateRedis, folder: Path, clock: ManualClock, *, timeout: float = TIMEOUT
) -> World:
    """Return a world of 500 origins, materialised to a server."""
    clock.set(at(10_000))
    world = World(folder, view(), url=server.url, clock=clock, timeout=timeout)
    rng = np.random.default_rng(0)
    moments = pl.Series(rng.permutation(5_000)).cast(pl.Int64) * 60_000_000 + int(START.timestamp() * 1e6)
    world.land(
        pl.DataFrame(
            {
                "origin": rng.integers(0, ORIGINS, 5_000).astype(str),
                "observed_at": moments.cast(pl.Datetime("us", "UTC")),
                "temp": rng.random(5_000),
            }
        )
    )
    world.online.materialise("weather")
    return world


def read(world: World) -> OnlineRows:
    return world.online.read(["weather"], {"origin": [str(n) for n in range(ORIGINS)]})


def lost(world: World, *, seconds: float) -> list[float]:
    """Read for so long from a store that is lost, and return how long each read took."""
    took, end = [], monotonic() + seconds
    while monotonic() < end:
        began = monotonic()
        found = read(world)
        took.append(monotonic() - began)
        assert found.degraded
        assert found.rows == [[None]] * ORIGINS
    return took


def back(world: World) -> OnlineRows:
    """Read until the store answers again, without anybody's help."""
    end = monotonic() + services.START_SECONDS
    while monotonic() < end:
        found = read(world)
        if not found.degraded:
            return found
    raise AssertionError(found.problem)


def assert_quick(took: list[float]) -> None:
    """Check that reads end in time; a busy machine may hold up a few."""
    late = [seconds for seconds in took if seconds > LIMIT]
    assert len(late) <= max(1, len(took) // 20), f"{len(late)} of {len(took)}, the longest {max(took):.3f} s"


def assert_equal_to_offline(world: World) -> None:
    spine = pl.DataFrame({"origin": [str(n) for n in range(ORIGINS)], "t": [world.clock.now()] * ORIGINS})

    online = back(world).frame()

    assert_frame_equal(online, world.joined(spine, "weather").select("temp"), check_exact=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[services.PrivateRedis]:
    """A Redis of this test, which it may kill."""
    with services.PrivateRedis(tmp_path / "redis") as started:
        yield started


def test_r14_redis_is_killed_and_comes_back(
    server: services.PrivateRedis, tmp_path: Path, clock: ManualClock
) -> None:
    world = world_on(server, tmp_path, clock)
    assert_equal_to_offline(world)

    server.kill()
    took = lost(world, seconds=1.5)
    server.start()

    assert_quick(took)
    back(world)
    world.online.materialise("weather")
    assert_equal_to_offline(world)
    world.close()


def test_r14_redis_is_emptied(server: services.PrivateRedis, tmp_path: Path, clock: ManualClock) -> None:
    world = world_on(server, tmp_path, clock)

    server.flush()
    emptied = back(world)
    done = world.online.materialise("weather")

    assert emptied.rows == [[None]] * ORIGINS
    assert (done.written, done.entities) == (ORIGINS, ORIGINS)
    assert_equal_to_offline(world)
    world.close()


def test_r14_redis_hangs(server: services.PrivateRedis, tmp_path: Path, clock: ManualClock) -> None:
    world = world_on(server, tmp_path, clock)
    back(world)

    server.signal(signal.SIGSTOP)
    took = lost(world, seconds=1.5)
    server.signal(signal.SIGCONT)

    assert_quick(took)
    assert_equal_to_offline(world)
    world.close()


@contextmanager
def another_machine() -> Iterator[tuple[str, str]]:
    """Yield a network name space with a cable to this one, and its address; skips where this user may not make one."""
    name = f"t{uuid.uuid4().hex[:8]}"
    ours, theirs = f"{name}a", f"{name}b"
    network = f"10.{os.getpid() % 200 + 20}.{int(name[1:3], 16)}"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs)
        _ip("link", "set", theirs, "netns", name)
        _ip("addr", "add", f"{network}.1/30", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", name, "addr", "add", f"{network}.2/30", "dev", theirs)
        _ip("-n", name, "link", "set", theirs, "up")
        yield name, f"{network}.2"
    finally:
        subprocess.run(["ip", "link", "del", ours], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    with suppress(FileNotFoundError):
        done = subprocess.run(["ip", *arguments], check=False, capture_output=True, timeout=30)
        if not done.returncode:
            return
    pytest.skip("This user may not make a network name space")


def test_r14_redis_is_cut_off_and_reconnected(tmp_path: Path, clock: ManualClock) -> None:
    with (
        another_machine() as (name, host),
        services.PrivateRedis(tmp_path / "redis", host=host, prefix=("ip", "netns", "exec", name)) as server,
    ):
        world = world_on(server, tmp_path, clock)
        back(world)

        _ip("-n", name, "link", "set", f"{name}b", "down")
        took = lost(world, seconds=2.5)
        _ip("-n", name, "link", "set", f"{name}b", "up")

        assert_quick(took)
        assert_equal_to_offline(world)
        world.close()
