"""CPU of a turn of the loop at which nothing is new, against importing the libraries that it needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import project
from harness import Benchmark, cpu_of_command


@dataclass
class Input:
    """A project whose loop was turned, and how many times a sample turns it again."""

    root: Path
    times: int


def prepare(folder: Path, quick: bool) -> Input:
    """Make the project."""
    project.make(folder, rows=5_000 if quick else 100_000)
    return Input(folder, 1 if quick else 3)


def ours(given: Input) -> float:
    """Run it again."""
    return cpu_of_command([*project.TREADLE, "run", "late"], cwd=given.root, times=given.times)


def floor(given: Input) -> float:
    """Import what any program that reads tables and a ledger imports."""
    return cpu_of_command([sys.executable, "-c", "import polars, sqlalchemy, deltalake"], times=given.times)


BENCHMARK = Benchmark(
    title="treadle run, when nothing is new since the last one",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    limit=2,
)
