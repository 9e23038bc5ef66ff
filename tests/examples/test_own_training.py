from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_training"


@pytest.mark.slow
def test_the_data_rooms_serve_a_training_of_ones_own(tmp_path: Path):
    for name in ("treadle.toml", "declarations.py"):
        shutil.copy(EXAMPLE / name, tmp_path)

    done = subprocess.run(
        [sys.executable, EXAMPLE / "train.py", "--root", tmp_path, "--days", "5"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].endswith("the first ones are all still there: True")
    assert [line.partition(":")[0] for line in said[1:]] == ["trained up to month 1", "trained up to month 2"]
