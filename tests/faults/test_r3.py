"""R3: the power is cut at any moment, and each store opens again by itself with everything that it had acknowledged.

What the stores do is recorded from real processes; what a disk may make of it is worked out in `disk.py`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import powercut
import pytest
from powercut import Recording

#: States in all: few here; the environment may ask for more, and for others.
STATES = int(os.environ.get("TREADLE_TEST_POWER_CUTS", "500"))
SEED = int(os.environ.get("TREADLE_TEST_SEED", "1"))
#: Hundredths of them for each store.
SHARES = {
    "objects": 8,
    "trees": 14,
    "online": 14,
    "table": 13,
    "delivery": 10,
    "log": 12,
    "queue": 8,
    "ledger": 14,
    "dataset": 7,
}


#: Flushes that fail on a bad disk, as strace says it: the third one and each 71st after it, and so on.
FAILING = ("fsync:error=EIO:when=3+71", "fdatasync:error=EIO:when=5+41", "syncfs:error=EIO:when=2+3")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """What a program did that used each store in turn."""
    return powercut.recorded(tmp_path_factory.mktemp("recorded"), *SHARES, "broken")


@pytest.fixture(scope="module")
def recordings_of_a_bad_disk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    """What it did where some flushes failed: it was told so, and did the step again."""
    return powercut.recorded(tmp_path_factory.mktemp("failing"), *SHARES, faults=FAILING)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder that is quick where there is one in memory: thousands of states are made in it."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", SHARES)
def test_r3_a_power_cut_loses_nothing_that_was_acknowledged(name, recordings, memory):
    problems = recordings[name].problems(_of_all(0.7, name), seed=SEED, into=memory)

    assert problems == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", SHARES)
def test_r3_nor_does_one_after_flushes_that_failed(name, recordings_of_a_bad_disk, memory):
    problems = recordings_of_a_bad_disk[name].problems(_of_all(0.3, name), seed=SEED, into=memory)

    assert problems == []


def _of_all(part: float, name: str) -> int:
    return round(STATES * part * SHARES[name] / 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHARES, "broken"])
def test_a_recording_lacks_nothing(name, recordings):
    recording = recordings[name]

    disk = recording.undisturbed()

    assert powercut.differences(disk.root, recording.disk) == []


@pytest.mark.slow
def test_a_writer_that_forgets_to_flush_is_found_out(recordings, memory):
    problems = recordings["broken"].problems(40, seed=SEED, into=memory)

    assert any("things are lost" in told for told in problems)
    assert any("is damaged" in told for told in problems)
