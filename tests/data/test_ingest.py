from __future__ import annotations

import importlib.util
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_KILLED = Path(__file__).with_name("killed.py")
_spec = importlib.util.spec_from_file_location("killed", _KILLED)
killed = importlib.util.module_from_spec(_spec)
sys.modules["killed"] = killed
_spec.loader.exec_module(killed)


def land_round(root, number, rows=100):
    """Land one file of rows, a tenth of them bad, and one of outcomes."""
    for part, head, line in (
        ("in", "id,at,n", "{key},2013-01-01,{n}"),
        ("truth", "id,known,late", "{key},2013-01-02,true"),
    ):
        folder = root / part
        folder.mkdir(exist_ok=True)
        lines = [line.format(key=f"{number}-{i}", n=-1 if i % 10 == 0 else i) for i in range(rows)]
        (folder / f"{number:03}.csv").write_text("\n".join([head, *lines]) + "\n")


def holds(datasets, rounds, rows=100):
    """Whether everything that landed is there exactly once, in versions that balance."""
    version, versions = datasets.version("d"), datasets.versions("d")
    frame = datasets.read("d")
    assert frame["id"].n_unique() == frame.height == version.rows == rounds * rows * 9 // 10
    assert datasets.quarantine("d").height == sum(one.quarantined for one in versions) == rounds * rows // 10
    assert all(one.landed == one.accepted + one.quarantined for one in versions)
    assert [one.version for one in versions] == list(range(1, len(versions) + 1))
    assert version.outcomes_known == rounds * rows
    assert datasets.read("d", outcome=True).height == frame.height


def die(root, step):
    done = subprocess.run(
        [sys.executable, str(_KILLED), str(root), str(step)], capture_output=True, check=False
    )
    return done.returncode


#: Lease, three tables (before and after), the ledger's transaction (before, inside, after), the lease's end.
@pytest.mark.parametrize("step", range(1, 16, 2))
def test_killed_at_any_step_the_next_run_completes(tmp_path, step):
    land_round(tmp_path, 1)
    datasets, _ = killed.service(tmp_path)
    datasets.ingest(killed.DATASET)
    land_round(tmp_path, 2)

    code = die(tmp_path, step)
    datasets.ingest(killed.DATASET)

    assert code == -signal.SIGKILL
    assert len(datasets.versions("d")) == 2
    assert datasets.ingest(killed.DATASET) is None
    holds(datasets, rounds=2)


def test_killed_in_the_first_commit_and_again_the_next_run_completes(tmp_path):
    land_round(tmp_path, 1)

    assert die(tmp_path, 5) == -signal.SIGKILL
    assert die(tmp_path, 10) == -signal.SIGKILL
    datasets, _ = killed.service(tmp_path)
    datasets.ingest(killed.DATASET)

    holds(datasets, rounds=1)


@pytest.mark.slow
def test_killed_at_random_moments_nothing_is_lost_or_doubled(tmp_path):
    datasets, _ = killed.service(tmp_path)
    moments = random.Random(1)
    rounds = 10
    for number in range(1, rounds + 1):
        land_round(tmp_path, number)
        child = subprocess.Popen([sys.executable, str(_KILLED), str(tmp_path)], stdout=subprocess.PIPE)
        child.stdout.readline()
        try:
            child.wait(timeout=moments.uniform(0, 0.08))
        except subprocess.TimeoutExpired:
            child.kill()
        child.wait()
        child.stdout.close()

    datasets.ingest(killed.DATASET)

    holds(datasets, rounds=rounds)
