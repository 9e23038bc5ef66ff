"""Peak memory of reading rows and checking them against a contract, against Polars expressions written by hand."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import departures
from harness import HERE, Benchmark


def prepare(folder: Path, quick: bool) -> Path:
    """Write 10,000,000 rows of 20 columns, of which one in a thousand is bad."""
    file = folder / "departures.parquet"
    departures.make(100_000 if quick else departures.ROWS).write_parquet(file)
    return file


def _peak(how: str, file: Path) -> float:
    command = [sys.executable, str(HERE / "departures.py"), how, str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)


BENCHMARK = Benchmark(
    title="10,000,000 rows of 20 columns are read and checked: the most memory that the process had",
    unit="MiB",
    prepare=prepare,
    ours=partial(_peak, "ours"),
    floor=partial(_peak, "by_hand"),
    floors=1.2,
    rounds=3,
)
