"""Peak memory of comparing 1,000,000 rows with a stored reference, against having the rows in memory."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import drifting
from harness import HERE, Benchmark


def prepare(folder: Path, quick: bool) -> drifting.Prepared:
    """Store the reference of 1,000,000 rows of 30 numbers and 20 categories."""
    return drifting.prepare(
        folder, rows=5_000 if quick else 1_000_000, reference=20_000 if quick else drifting.REFERENCE
    )


def _peak(how: str, prepared: drifting.Prepared) -> float:
    command = [sys.executable, str(HERE / "drifting.py"), how, str(prepared.stored), str(prepared.file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


BENCHMARK = Benchmark(
    title="1,000,000 rows of 50 columns are compared: the most memory that the process had",
    unit="MiB",
    prepare=prepare,
    ours=partial(_peak, "compare"),
    floor=partial(_peak, "load"),
    beyond=100,
    rounds=3,
)
