"""Checkpoints: whole or not there, the newest wins, old ones go."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from treadle.core.errors import DigestMismatch, InvalidInput
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training.runs import Runs

#: Kills on each ledger: 30 in all in CI, 300 in full.
KILLS = 150 if os.environ.get("TREADLE_FULL") else 15
#: Saves states without end and says each number once it is saved.
SAVES = """
import pathlib, sys
from treadle.core.clock import SystemClock
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training.runs import Runs
root, url, run = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
objects = Objects.open("objects", root=root, options={})
runs = Runs(ledger=Ledger.open(url, root=root), objects=objects, clock=SystemClock(), root=root)
run = runs.get(run)
number = (runs.checkpoint(run.id) or {"number": 0})["number"]
while True:
    number += 1
    runs.save_checkpoint(run, {"number": number, "weights": bytes([number % 251]) * 300_000})
    print(number, flush=True)
"""


def digests(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return list(connection.execute(select(t.checkpoints.c.digest)).scalars())


def test_the_newest_state_comes_back_as_it_was(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    state = {"weights": b"\x00\xff", "epoch": 3, "loss": 0.25, "phase": "warm–up"}

    runs.save_checkpoint(run, {"epoch": 2})
    number = runs.save_checkpoint(run, state)

    assert number == 2
    assert runs.checkpoint(run.id) == state


def test_numpy_scalars_are_numbers(runs: Runs) -> None:
    run = runs.start("delay", reason="")

    runs.save_checkpoint(run, {"loss": np.float64(0.5), "epoch": np.int32(3)})

    assert runs.checkpoint(run.id) == {"loss": 0.5, "epoch": 3}


@pytest.mark.parametrize("value", [None, [1], np.zeros(2), {"a": 1}])
def test_other_values_are_refused(runs: Runs, value: object) -> None:
    run = runs.start("delay", reason="")

    with pytest.raises(InvalidInput, match="'weights' is of type"):
        runs.save_checkpoint(run, {"weights": value})  # type: ignore[dict-item]


def test_only_the_last_two_are_kept(runs: Runs, ledger: Ledger, folder_objects: Objects) -> None:
    run = runs.start("delay", reason="")

    for epoch in range(5):
        runs.save_checkpoint(run, {"epoch": epoch})

    assert len(digests(ledger)) == 2
    assert {digest for digest, _ in folder_objects.list()} == set(digests(ledger))


def test_the_same_state_saved_twice_is_not_deleted_with_the_first(runs: Runs) -> None:
    run = runs.start("delay", reason="")

    for _ in range(4):
        runs.save_checkpoint(run, {"epoch": 1})

    assert runs.checkpoint(run.id) == {"epoch": 1}


def test_a_state_whose_row_was_not_written_is_not_seen(runs: Runs, folder_objects: Objects) -> None:
    run = runs.start("delay", reason="")
    runs.save_checkpoint(run, {"epoch": 1})
    runs.resume(run)

    with pytest.raises(Exception, match="this is attempt 1"):
        runs.save_checkpoint(run, {"epoch": 2})

    assert runs.checkpoint(run.id) == {"epoch": 1}


def test_a_damaged_state_is_not_handed_out(runs: Runs, ledger: Ledger, tmp_path: Path) -> None:
    run = runs.start("delay", reason="")
    runs.save_checkpoint(run, {"weights": b"x" * 100})
    name = digests(ledger)[0].removeprefix("sha256:")
    found = next(path for path in tmp_path.rglob(name) if path.is_file())
    found.chmod(0o600)
    found.write_bytes(found.read_bytes()[:-1] + b"y")

    with pytest.raises(DigestMismatch):
        runs.checkpoint(run.id)


def test_a_damaged_state_gives_way_to_the_one_before(runs: Runs, ledger: Ledger, tmp_path: Path) -> None:
    run = runs.start("delay", reason="")
    runs.save_checkpoint(run, {"epoch": 1})
    before = set(digests(ledger))
    runs.save_checkpoint(run, {"epoch": 2})
    (newest,) = set(digests(ledger)) - before
    found = next(path for path in tmp_path.rglob(newest.removeprefix("sha256:")) if path.is_file())
    found.chmod(0o600)
    found.write_bytes(found.read_bytes()[:-3])

    assert runs.checkpoint(run.id) == {"epoch": 1}


@pytest.mark.slow
def test_t2_a_kill_during_a_save_never_loses_what_was_saved(
    runs: Runs, ledger_url: str, tmp_path: Path
) -> None:
    run = runs.start("delay", reason="")
    draw = random.Random(11)
    for _ in range(KILLS):
        command = [sys.executable, "-c", SAVES, str(tmp_path), ledger_url, run.id]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(draw.randrange(1, 4)):
                acknowledged = int(child.stdout.readline())
            for _ in range(draw.randrange(60_000)):
                pass
            child.kill()
            acknowledged = max([acknowledged, *map(int, child.stdout.read().split("\n")[:-1])])

        state = runs.checkpoint(run.id)

        assert state is not None
        assert state["number"] in {acknowledged, acknowledged + 1}
        assert state["weights"] == bytes([int(state["number"]) % 251]) * 300_000


def test_an_ended_run_keeps_none(runs: Runs, ledger: Ledger, folder_objects: Objects) -> None:
    run = runs.start("delay", reason="")
    runs.save_checkpoint(run, {"epoch": 1})

    runs.fail(run, error="x")

    assert runs.checkpoint(run.id) is None
    assert list(folder_objects.list()) == []
