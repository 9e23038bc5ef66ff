"""CPU of reading a version of a dataset, against the bare scan of a Delta table with the same rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from growing import COLUMNS, Growing
from harness import Benchmark, cpu_of


def prepare(folder: Path, quick: bool) -> Growing:
    """Make both with four appends."""
    given = Growing(folder, 10_000 if quick else 1_000_000)
    for _ in range(4):
        given.append()
        given.append_bare()
        given.turn()
    return given


def ours(given: Growing) -> float:
    """Read every row in the order in which they landed."""

    def work() -> None:
        assert given.datasets.read("d", columns=COLUMNS).height == 4 * given.rows

    return cpu_of(work)


def floor(given: Growing) -> float:
    """Read every row in no order."""

    def work() -> None:
        assert pl.scan_delta(str(given.bare)).collect().height == 4 * given.rows

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="4,000,000 rows of ten columns are read in the order in which they landed",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.2,
)
