"""Adding, checking out and collecting when the process dies, the disk fills up, or the disk fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import killed_trees as killed
import services
from treadle.core.errors import StoreFull
from treadle.data.trees import Trees
from treadle.store.objects.contents import open_contents

HERE = Path(killed.__file__).parent


@pytest.mark.slow
def test_r3_killed_at_any_step_the_next_run_completes(tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_trees.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_r4_a_full_disk_leaves_no_version_and_passes(tree, write, tmp_path, ledger, clock):
    for number in range(20):
        write(f"{number}", os.urandom(20_000))
    with services.small_disk(tmp_path / "disk", size="1m") as disk:
        contents = open_contents("objects", root=disk, options={})
        trees = Trees(ledger=ledger, contents=contents, clock=clock, root=tmp_path, state=tmp_path / "state")
        ballast = services.fill(disk)
        os.truncate(ballast, 1024 * 1024 - 200_000)

        with pytest.raises(StoreFull, match="no space is left"):
            trees.add(tree)
        assert trees.names() == []
        ballast.unlink()

        assert trees.add(tree).files == 20
        assert trees.verify("photos") == []


FAULTS = [
    "syncfs:error=EIO",
    *(f"write:error=ENOSPC:when={number}" for number in range(1, 4)),
    "utimensat:error=EIO:when=2",
    "mkdir:error=EROFS:when=1",
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_r4_a_disk_that_fails_is_said_and_nothing_counts(fault, write, tmp_path):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    for number in range(3):
        write(f"{number}", os.urandom(20_000))
    killed.service(tmp_path)
    environment = {**os.environ, "PYTHONPATH": f"{HERE}"}
    command = [
        sys.executable,
        "-c",
        "import killed_trees, sys; sys.exit(killed_trees.tried(sys.argv[1]))",
        str(tmp_path),
    ]

    done = subprocess.run(
        [strace, "-f", "-o", "/dev/null", "-e", f"inject={fault}", *command],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )

    assert done.returncode in {0, 3}, done.stderr
    trees = killed.service(tmp_path)
    assert trees.names() == ([] if done.returncode else ["photos"])
    trees.add(killed.TREE)
    assert trees.version("photos").files == 3
    assert trees.verify("photos") == []
