"""Appending 1 % to a file of 2 GB, against hashing it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from blake3 import blake3

import photos
from harness import Benchmark
from treadle.data.trees import Trees


@dataclass
class Input(photos.Photos):
    """One large file, added once."""

    size: int = 0
    trees: Trees | None = None

    @property
    def file(self) -> Path:
        """The file."""
        return self.folder / "large.bin"


def prepare(folder: Path, quick: bool) -> Input:
    """Write the file and add it."""
    given = Input(folder, 1, size=80_000_000 if quick else 2_000_000_000)
    given.folder.mkdir()
    _append(given, given.size)
    given.trees = given.service("project")
    given.trees.add(given.tree)
    return given


def ours(given: Input) -> float:
    """Add the file with 1 % more at its end; little more than that is stored."""
    trees, more = given.trees, given.size // 100
    assert trees is not None
    _append(given, more)

    def work() -> None:
        version = trees.add(given.tree)
        assert version is not None
        assert more <= version.stored <= more + 2 * 4 * 2**20

    return photos.waited(work)


def floor(given: Input) -> float:
    """Hash the file."""

    def work() -> None:
        found = blake3()
        with given.file.open("rb") as file:
            while block := file.read(4 * 2**20):
                found.update(block)

    return photos.waited(work)


def _append(given: Input, size: int) -> None:
    random = np.random.default_rng(given.file.stat().st_size if given.file.exists() else 0)
    with given.file.open("ab") as file:
        while size > 0:
            file.write(random.bytes(min(size, 10_000_000)))
            size -= 10_000_000


BENCHMARK = Benchmark(
    title="a file of 2 GB grows by 1 %, of which about 1 % is stored",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=3,
    rounds=3,
)
