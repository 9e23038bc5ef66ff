"""Finding runs among 10,000: the runs of 10,000 that two conditions hold for, sorted, against decoding all of them."""

from __future__ import annotations

import runs
from harness import Benchmark


def ours(given: runs.Input) -> float:
    """Find those of one parameter below a bound, by another metric."""
    return runs.waited(
        lambda: given.runs.find(
            where=["metrics.test.candidate.m3<0.2", "params.p1=7"],
            sort="metrics.test.candidate.m0",
            limit=1000,
        )
    )


def floor(given: runs.Input) -> float:
    """Decode every run and look."""
    return runs.waited(
        lambda: [
            run for run in given.all() if run.metrics["test.candidate.m3"] < 0.2 and run.params["p1"] == 7
        ]
    )


BENCHMARK = Benchmark(
    title="the runs of 10,000 that two conditions hold for, sorted",
    unit="ms",
    prepare=runs.prepare,
    ours=ours,
    floor=floor,
    limit=150,
)
