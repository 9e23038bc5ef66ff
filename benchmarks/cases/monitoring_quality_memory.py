"""Peak memory of the first look at 10,000,000 predictions with as many late outcomes, against DuckDB's join."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import answers
from harness import HERE, Benchmark


def prepare(folder: Path, quick: bool) -> answers.Logs:
    """Make the logs; every outcome has come."""
    logs = answers.make(folder, rows=12_000 if quick else 10_000_000)
    logs.rest()
    return logs


def _peak(how: str, logs: answers.Logs) -> float:
    command = [sys.executable, str(HERE / "answers.py"), how, str(logs.root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.strip().splitlines()[-1].split()[1])


BENCHMARK = Benchmark(
    title="the most memory that a process had that asked the same",
    unit="GB",
    prepare=prepare,
    ours=partial(_peak, "ours"),
    floor=partial(_peak, "floor"),
    floors=1.0,
    rounds=3,
)
