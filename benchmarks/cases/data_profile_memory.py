"""Peak memory of the profile of a file with its page, against one pass that counts."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import departures
from harness import HERE, Benchmark


def prepare(folder: Path, quick: bool) -> Path:
    """Write 10,000,000 rows of 20 columns."""
    file = folder / "departures.parquet"
    departures.make(100_000 if quick else departures.ROWS).write_parquet(file, row_group_size=500_000)
    return file


def _peak(how: str, file: Path) -> float:
    command = [sys.executable, str(HERE / "profiles.py"), how, str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


BENCHMARK = Benchmark(
    title="10,000,000 rows of 20 columns are profiled: the most memory that the process had",
    unit="MiB",
    prepare=prepare,
    ours=partial(_peak, "profile"),
    floor=partial(_peak, "describe"),
    limit=1_000,
    rounds=3,
)
