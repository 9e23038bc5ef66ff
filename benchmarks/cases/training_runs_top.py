"""Finding runs among 10,000: the 10 runs of 10,000 with the lowest metric, against decoding all of them."""

from __future__ import annotations

import runs
from harness import Benchmark


def ours(given: runs.Input) -> float:
    """Find the ten best by one metric."""
    return runs.waited(lambda: given.runs.find(sort="metrics.test.candidate.m3", limit=10))


def floor(given: runs.Input) -> float:
    """Decode every run and sort."""
    return runs.waited(lambda: sorted(given.all(), key=lambda run: run.metrics["test.candidate.m3"])[:10])


BENCHMARK = Benchmark(
    title="the 10 runs of 10,000 with the lowest metric",
    unit="ms",
    prepare=runs.prepare,
    ours=ours,
    floor=floor,
    limit=50,
)
