"""R4 for datasets: whatever call of an ingestion the disk refuses, it is said in a sentence and nothing is half there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import failing
import ingestions
import msgspec
import pytest
from failing import Fault
from ingestions import Told

import services

#: How many of the first calls fail in each way, and of how many: few here; the environment may ask for more.
POINTS = int(os.environ.get("TREADLE_TEST_DISK_FAULTS", "10"))
SEED = int(os.environ.get("TREADLE_TEST_SEED", "1"))
CALLS = int(os.environ.get("TREADLE_TEST_DISK_CALLS", "60"))
#: Kind of call, its error, and whether the ones after it fail too, as on a disk that stays full.
WAYS = [
    ("flush", "EIO", False),
    ("write", "ENOSPC", False),
    ("write", "ENOSPC", True),
    ("write", "EIO", False),
]
_UNAVAILABLE = 5


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What came of an ingestion on a disk that failed at one call, for each of some; the first one was undisturbed."""
    if reason := failing.able():
        services.missing(reason)
    folder, chance = tmp_path_factory.mktemp("cases"), random.Random(SEED)
    faults = [
        Fault(kind, error, number, lasts)
        for kind, error, lasts in WAYS
        for number in sorted(chance.sample(range(1, CALLS + 1), POINTS))
    ]
    (folder / "faults.json").write_bytes(msgspec.json.encode(faults))
    program = [sys.executable, ingestions.__file__, str(folder), "2"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr
    places = [folder / "whole", *(folder / fault.shown for fault in faults)]
    return [_read(place) for place in places]


def _read(place: Path) -> Told:
    assert (place / "told.json").exists(), (place / "problem.txt").read_text()
    return msgspec.json.decode((place / "told.json").read_bytes(), type=Told)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_r4_an_ingestion_on_a_failing_disk_says_so_leaves_nothing_half_and_passes(told):
    whole, *cases = told

    problems = [(case.fault.shown, wrong) for case in cases for wrong in _problems(case, whole)]

    assert problems == []
    assert min(whole.counts.values()) >= CALLS
    assert len(whole.made) == ingestions.FILES
    assert sum(case.first.status == _UNAVAILABLE for case in cases) > len(cases) * 0.8


def _problems(case: Told, whole: Told) -> list[str]:
    """Return what is wrong with an ingestion on a failing disk and the one after it."""
    assert case.fault is not None
    first, again = case.first, case.again
    sentence = first.said.splitlines()[-1]  # what Rust says when it panics may stand above
    found = {
        "it did not meet its call": case.counts[case.fault.kind] < case.fault.number,
        f"it ended with {first.status} and said {first.said!r}": first.status not in {0, _UNAVAILABLE},
        f"it said {first.said!r}": first.status != 0
        and ("Traceback" in first.said or not sentence.startswith("error: ")),
        "it passed, and lacks something": first.status == 0 and case.left != whole.made,
        "something is half there": case.left != whole.made[: len(case.left)],
        f"the next one ended with {again.status} and said {again.said!r}": again.status != 0,
        "the next one made something else": case.made != whole.made,
    }
    return [wrong for wrong, is_so in found.items() if is_so]
