"""A chain of 100 trivial steps whose results are durable, against a plain journal that is flushed after each."""

from __future__ import annotations

import chain
from harness import Benchmark


def ours(given: chain.Input) -> float:
    """Run a chain that was not run before."""
    given.rounds += 1
    return chain.timed(lambda: given.run(given.rounds)) / chain.STEPS


def floor(given: chain.Input) -> float:
    """Write and flush a line for each."""
    return chain.timed(lambda: chain.journal(given.folder, flush=True)) / chain.STEPS


BENCHMARK = Benchmark(
    title="100 trivial steps in a chain, each result on the disk before the next begins",
    unit="ms of CPU a step",
    prepare=chain.prepare,
    ours=ours,
    floor=floor,
    limit=2,
)
