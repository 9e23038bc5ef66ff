from __future__ import annotations

import asyncio
import threading

import pytest

from treadle.core.errors import StoreUnavailable
from treadle.serving import wal
from treadle.serving.entries import OutcomeEntry, unpack_all
from treadle.serving.keeping import Keeper
from treadle.serving.log import LOGS, PredictionLog


def entry(name):
    return OutcomeEntry(request_id=name, endpoint="delay", at=0, predictions=["p"], keys=[None], values=[1.0])


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path, server="s1", durability="sync", flush_interval=0.01)
    log.start()
    yield log
    log.close()


def frames(tmp_path):
    """Return the names in each frame that is on the disk."""
    found = [p for s in wal.segments(tmp_path / LOGS / "s1") for p in wal.entries(s) if len(p) > 1]
    return [[one.request_id for one in unpack_all(payload)] for payload in found]


def test_requests_of_one_turn_are_on_the_disk_together_when_they_go_on(log, tmp_path):
    async def main():
        keeper = Keeper(log)
        return await asyncio.gather(*(keeper.keep(entry(f"r{number}")) for number in range(40)))

    kept = asyncio.run(main())

    assert kept == [True] * 40
    assert sorted(name for frame in frames(tmp_path) for name in frame) == sorted(f"r{n}" for n in range(40))
    assert len(frames(tmp_path)) <= 3


def test_each_request_that_is_not_kept_hears_why_and_the_others_go_on(log):
    async def main():
        keeper = Keeper(log)
        first = await keeper.keep(entry("r1"))
        log.close()
        return first, await asyncio.gather(
            *(keeper.keep(entry("r")) for _ in range(3)), return_exceptions=True
        )

    first, refused = asyncio.run(main())

    assert first is True
    assert [type(error) for error in refused] == [StoreUnavailable] * 3


def test_one_that_goes_away_meanwhile_holds_up_nobody(log, tmp_path):
    async def main():
        keeper = Keeper(log)
        gone = asyncio.ensure_future(keeper.keep(entry("gone")))
        stays = asyncio.ensure_future(keeper.keep(entry("stays")))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(main()) is True
    assert {name for frame in frames(tmp_path) for name in frame} == {"gone", "stays"}


class _Closing(asyncio.SelectorEventLoop):
    """A loop that is closed just after somebody has looked whether it is."""

    seems_open = True

    def is_closed(self):
        return super().is_closed() and not self.seems_open


def test_a_loop_that_is_closed_meanwhile_ends_no_log(log, tmp_path):
    gate, loop = threading.Event(), _Closing()
    log.commit(entry("first"), lambda _: gate.wait(30))

    async def gone():
        asked = asyncio.ensure_future(Keeper(log).keep(entry("gone")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    loop.run_until_complete(gone())
    loop.close()
    gate.set()
    kept = asyncio.run(asyncio.wait_for(Keeper(log).keep(entry("later")), 30))
    loop.seems_open = False

    assert kept is True
    assert {name for frame in frames(tmp_path) for name in frame} == {"first", "gone", "later"}
