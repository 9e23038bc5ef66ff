"""CPU of the commits around the 1,000th version of a dataset, against those around the 10th."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from growing import Growing
from harness import Benchmark, cpu_of


@dataclass
class Pair:
    """A dataset with few versions and one with many."""

    young: Growing
    old: Growing

    def close(self) -> None:
        """Close both."""
        self.young.close()
        self.old.close()


def prepare(folder: Path, quick: bool) -> Pair:
    """Make one with 5 versions and one with 990, of 1,000 rows each."""
    pair = []
    for name, versions in (("young", 2), ("old", 20)) if quick else (("young", 5), ("old", 990)):
        place = folder / name
        place.mkdir()
        given = Growing(place, 1_000)
        for _ in range(versions):
            _commit(given)
        pair.append(given)
    return Pair(*pair)


def _commit(given: Growing) -> float:
    taken = cpu_of(given.append)
    given.turn()
    return taken


def ours(pair: Pair) -> float:
    """Commit twice to the old one."""
    return statistics.fmean(_commit(pair.old) for _ in range(2))


def floor(pair: Pair) -> float:
    """Commit twice to the young one."""
    return statistics.fmean(_commit(pair.young) for _ in range(2))


BENCHMARK = Benchmark(
    title="1,000 rows are committed as the 1,000th version, and (floor) as the 10th",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.2,
)
