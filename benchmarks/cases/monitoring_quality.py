"""CPU of the first look at 10,000,000 predictions with as many late outcomes, by day, version and ten slices, against DuckDB's join."""

from __future__ import annotations

from pathlib import Path

import answers
from harness import Benchmark, cpu_of


def prepare(folder: Path, quick: bool) -> answers.Logs:
    """Make the logs; every outcome has come."""
    logs = answers.make(folder, rows=12_000 if quick else 10_000_000)
    logs.rest()
    return logs


def ours(logs: answers.Logs) -> float:
    """Ask where nothing is kept of earlier looks."""
    logs.forget()
    return cpu_of(logs.ask)


BENCHMARK = Benchmark(
    title="log loss of 10,000,000 answers by day, version and ten slices, read whole",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=lambda logs: cpu_of(lambda: answers.bare(logs.root)),
    floors=1.5,
    rounds=3,
)
