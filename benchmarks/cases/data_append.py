"""CPU of adding a million rows to a dataset that has some millions, against the bare write of a Delta table."""

from __future__ import annotations

from pathlib import Path

from growing import Growing
from harness import Benchmark, cpu_of


def prepare(folder: Path, quick: bool) -> Growing:
    """Make both with three appends."""
    given = Growing(folder, 10_000 if quick else 1_000_000)
    for _ in range(3):
        given.append()
        given.append_bare()
        given.turn()
    return given


def ours(given: Growing) -> float:
    """Check the contract, look every key up, split, write, commit."""
    taken = cpu_of(given.append)
    given.took("ours")
    return taken


def floor(given: Growing) -> float:
    """Write."""
    taken = cpu_of(given.append_bare)
    given.took("floor")
    return taken


BENCHMARK = Benchmark(
    title="1,000,000 rows are added to a dataset of 3,000,000 and more: contract, keys, split, commit, ledger",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.5,
)
