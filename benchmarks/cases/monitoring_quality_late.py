"""CPU of a look after some late outcomes came to 10,000,000 predictions, against reading everything with DuckDB again."""

from __future__ import annotations

from pathlib import Path

import answers
from harness import Benchmark, cpu_of

#: Outcomes that come between two looks.
LATE = 10_000


def prepare(folder: Path, quick: bool) -> answers.Logs:
    """Make the logs, of which a look has taken in what is there."""
    logs = answers.make(folder, rows=12_000 if quick else 10_000_000)
    logs.ask()
    return logs


def ours(logs: answers.Logs) -> float:
    """Ask after some more outcomes came."""
    assert logs.waiting is not None
    first, logs.waiting = logs.waiting[:LATE], logs.waiting[LATE:]
    logs.ship("outcomes", first.sort("at"))
    return cpu_of(logs.ask)


BENCHMARK = Benchmark(
    title="the same after 10,000 late outcomes, kept by day",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=lambda logs: cpu_of(lambda: answers.bare(logs.root)),
    floors=0.5,
    rounds=3,
)
