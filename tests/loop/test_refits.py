"""Trainings of a replay: shared, kept, made in several processes, the same to the last bit, and gone with whoever asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import tiny

import treadle as td
from treadle.app.workspace import open_workspace
from treadle.core.errors import RunFailed
from treadle.loop import refit_workers
from treadle.loop.choosing import GridReplay, plain
from treadle.loop.grid import Grid
from treadle.loop.refit_cache import RefitCache, packed, unpacked
from treadle.loop.refitting import Refitted

pytestmark = pytest.mark.slow
GRID = Grid(
    triggers={"rows": [td.NewRows(500)], "decay": [td.NewRows(1200), td.Decay(over="7d")]},
    windows={"all": td.Expanding(), "7d": td.Last("7d"), "week": td.Tumbling("7d")},
    gates={"declared": [td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.1)], "none": ()},
)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tiny.make(tmp_path_factory.mktemp("refits") / "shop", rows=800)
    for week in range(1, 3):
        tiny.land(root, week, rows=800)
    with open_workspace(root) as workspace:
        workspace.ingest()
    return root


def raced(root: Path, **settings: object) -> GridReplay:
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    with open_workspace(root, overrides=overrides) as workspace:
        return workspace.replay_grid("buys", GRID, step="1d")


def told(found: GridReplay) -> bytes:
    """Everything that a replay says, but how long it took, who had made its fits, and the ids of its verdicts."""
    said = plain(found)
    for name in ("fit_seconds", "fits_kept"):
        said.pop(name)
    for policy in said["policies"]:
        for turn in policy["trainings"]:
            for verdict in turn["verdicts"]:
                for name in ("id", "run", "at", "created_at"):
                    verdict.pop(name, None)
    return msgspec.json.encode(said, order="sorted")


def children(root: Path) -> list[int]:
    """Return the processes that train for replays of a project."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"treadle.app.refitter" in command and str(root).encode() in command:
            found.append(int(path.parent.name))
    return found


def test_one_process_or_several_or_none_say_the_same_to_the_last_bit(history: Path) -> None:
    one = raced(history, replay__workers=1, replay__cache=0)
    two = raced(history, replay__workers=2, replay__cache=0)
    none = raced(history, compute__engine="inline", replay__cache=0)

    assert told(one) == told(two) == told(none)
    assert one.fits < one.fits_asked
    assert children(history) == []


def test_a_second_replay_trains_nothing_and_says_the_same(history: Path) -> None:
    first = raced(history)
    begun = (history / "trainings.txt").read_text().count("begun")

    second = raced(history)

    assert (history / "trainings.txt").read_text().count("begun") == begun
    assert (first.fits_kept, second.fits_kept) == (0, second.fits)
    assert told(first) == told(second)
    assert list((history / ".treadle" / "replays").glob("*.fit"))


def test_other_parameters_code_or_rows_are_other_fits(tmp_path: Path) -> None:
    root = tiny.make(tmp_path / "shop", rows=900)
    with open_workspace(root) as workspace:
        workspace.ingest()
    assert raced(root).fits_kept == 0
    assert raced(root).fits_kept > 0

    file = root / "project.py"
    file.write_text(file.read_text().replace("seed=3", "seed=4"))
    assert raced(root).fits_kept == 0
    file.write_text(file.read_text().replace("LogisticRegression(", "LogisticRegression(C=0.5, "))
    assert raced(root).fits_kept == 0
    tiny.land(root, 1, rows=100)
    with open_workspace(root) as workspace:
        workspace.ingest()
    assert raced(root).fits_kept == 0


def test_what_is_kept_is_whole_or_counts_as_none_and_has_a_bound(history: Path, tmp_path: Path) -> None:
    raced(history)
    (path, *_) = (history / ".treadle" / "replays").glob("*.fit")
    data = path.read_bytes()
    found = unpacked(data)
    assert found is not None
    cache = RefitCache(tmp_path / "kept", most=3 * len(data))

    broken = [data[:50], data[:-8], data[:-1] + b"x", b"", b"\xff" * 100]
    for number in range(5):
        cache.put(f"sha256:{number}", found)
    cache.prune()

    assert [unpacked(one) for one in broken] == [None] * 5
    assert packed(found) == data
    kept = [number for number in range(5) if cache.get(f"sha256:{number}") is not None]
    assert kept == [2, 3, 4]
    again = cache.get("sha256:4")
    assert isinstance(again, Refitted)
    assert np.array_equal(again.answers, found.answers, equal_nan=True)


def test_a_training_that_fails_is_told_and_leaves_nothing(history: Path) -> None:
    tiny.feel(history, "raises")
    try:
        for workers in (1, 2):
            with pytest.raises(RunFailed, match=r"ZeroDivisionError: the moon is wrong \(project.py"):
                raced(history, replay__workers=workers, replay__cache=0)
    finally:
        tiny.feel(history, "well")

    assert children(history) == []


def test_a_training_whose_process_dies_is_made_once_more_alone(history: Path) -> None:
    tiny.feel(history, "killed")
    try:
        with pytest.raises(RunFailed, match="SIGKILL"):
            raced(history, replay__workers=2, replay__cache=0)
    finally:
        tiny.feel(history, "well")

    assert children(history) == []


def test_where_memory_is_short_one_trains_at_a_time(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refit_workers, "free", lambda: 0)

    found = raced(history, replay__workers=2, replay__cache=0)

    begun, most = 0, 0
    for line in (history / "trainings.txt").read_text().splitlines()[-2 * found.fits :]:
        begun += 1 if " begun " in line else -1
        most = max(most, begun)
    assert most == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_replay_that_is_ended_leaves_no_process_and_no_file(tmp_path: Path, how: signal.Signals) -> None:
    root, files = tiny.make(tmp_path / "shop", rows=900), tmp_path / "files"
    files.mkdir()
    with open_workspace(root) as workspace:
        workspace.ingest()
    tiny.feel(root, "hangs")
    command = [
        sys.executable,
        "-m",
        "treadle.app.cli.main",
        "replay",
        "buys",
        "--grid",
        "--project",
        str(root),
    ]
    replaying = subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(files)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not any(what == "begun" for _, what, _ in tiny.trainings(root)):
        time.sleep(0.05)
    assert children(root)

    replaying.send_signal(how)
    replaying.wait(30)
    while time.monotonic() < until and children(root):
        time.sleep(0.05)

    assert children(root) == []
    # What a killed training itself had open may stay: its own scratch folder.
    assert [path.name for path in files.iterdir() if not path.name.startswith("treadle-replay-")] == []
    assert not list((root / ".treadle" / "replays").glob("*"))
