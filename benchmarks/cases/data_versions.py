"""CPU of a commit around the 1,000th version of a dataset, against one around the 10th, upkeep included."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from growing import Growing
from harness import Benchmark, cpu_of
from treadle.data.writing import COMPACT_EVERY

#: Commits from one joining of small files to the next; three or four of them make a checkpoint.
CYCLE = COMPACT_EVERY + 1


@dataclass
class Given:
    """A dataset with many versions, and where to make those with few."""

    folder: Path
    old: Growing
    young: int
    cycle: int

    def close(self) -> None:
        """Close the old one."""
        self.old.close()


def prepare(folder: Path, quick: bool) -> Given:
    """Make one with 960 versions, of 1,000 rows each."""
    young, versions, cycle = (2, 20, 2) if quick else (5, 960, CYCLE)
    return Given(folder, _grown(folder / "old", versions), young, cycle)


def _grown(place: Path, versions: int) -> Growing:
    place.mkdir(exist_ok=True)
    grown = Growing(place, 1_000)
    for _ in range(versions):
        _commit(grown)
    return grown


def _commit(given: Growing) -> float:
    taken = cpu_of(given.append)
    given.turn()
    return taken


def ours(given: Given) -> float:
    """Commit to the old one, for a whole cycle."""
    return statistics.fmean(_commit(given.old) for _ in range(given.cycle))


def floor(given: Given) -> float:
    """Commit to a young one, for a whole cycle."""
    young = _grown(Path(mkdtemp(dir=given.folder)), given.young)
    try:
        return statistics.fmean(_commit(young) for _ in range(given.cycle))
    finally:
        young.close()


BENCHMARK = Benchmark(
    title="1,000 rows are committed around the 1,000th version, and (floor) around the 10th; means of 33 commits",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.2,
    rounds=3,
)
