"""The same chain of 100 steps once more, when nothing changed, against reading a plain journal."""

from __future__ import annotations

from pathlib import Path

import chain
from harness import Benchmark


def prepare(folder: Path, quick: bool) -> chain.Input:
    """Run the chain once."""
    given = chain.prepare(folder, quick)
    given.run(0)
    chain.journal(folder, flush=False)
    return given


def ours(given: chain.Input) -> float:
    """Find every result."""
    return chain.timed(lambda: given.run(0))


def floor(given: chain.Input) -> float:
    """Read the journal."""
    return chain.timed(lambda: (given.folder / "journal.txt").read_bytes().splitlines())


BENCHMARK = Benchmark(
    title="100 steps in a chain when nothing changed",
    unit="ms of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    limit=50,
)
