"""Counts of workers that have ended are kept, once, and their states are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from treadle.serving.siblings import Counted, Siblings
from treadle.serving.telemetry import Family, merged


def families(count, state=1.0):
    return [
        Family(
            "treadle_predictions", "Rows answered.", "counter", [("treadle_predictions_total", (), count)]
        ),
        Family("treadle_workers", "Workers.", "gauge", [("treadle_workers", (), state)]),
    ]


def told(found):
    return {family.name: family.samples[0][2] for family in merged(found)}


@pytest.fixture
def other():
    """A process beside this one, which lives until the test ends it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def leave(folder, process, seat, count, inherited=()):
    """Leave what another worker of this server has counted."""
    (one,) = folder.iterdir()
    counted = Counted(process, seat, [*inherited], families(count))
    (one / f"{process}.json").write_bytes(msgspec.json.encode(counted))


def test_totals_of_the_dead_are_taken_over_once_and_states_are_not(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    siblings = Siblings(tmp_path, 0)
    leave(tmp_path, other.pid, 0, 10)

    seen = [told(siblings.shared(families(count))) for count in (0, 1, 5)]

    assert seen == [{"treadle_predictions": total, "treadle_workers": 1} for total in (10, 11, 15)]
    assert [path.name for path in tmp_path.rglob("*.json")] == [f"{os.getpid()}.json"]


def test_what_another_has_taken_over_does_not_count_twice(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    siblings = Siblings(tmp_path, 1)
    leave(tmp_path, other.pid, 0, 10)
    leave(tmp_path, 2**22 + 1, 0, 12, inherited=[other.pid])

    assert told(siblings.shared(families(1)))["treadle_predictions"] == 13


def test_counts_of_servers_that_have_ended_are_removed(tmp_path):
    (tmp_path / "4194305-17").mkdir()
    (tmp_path / "4194305-17" / "1.json").write_text("{}")

    Siblings(tmp_path, 0)

    assert len(list(tmp_path.iterdir())) == 1
