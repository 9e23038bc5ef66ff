"""Adding 1 % more files to a tree of 20,000, against looking at all and hashing and linking the new ones, and DVC."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import photos
from harness import Benchmark
from treadle.data.trees import Trees


@dataclass
class Input(photos.Photos):
    """The files, added once, and how often more were added."""

    trees: Trees | None = None
    rounds: int = 0


def prepare(folder: Path, quick: bool) -> Input:
    """Write the files and add them."""
    made = photos.photos(folder, quick)
    given = Input(made.root, made.files, link=True)
    given.trees = given.service("project")
    given.trees.add(given.tree)
    return given


def ours(given: Input) -> float:
    """Add the folder with 1 % more files; nothing else is stored but those, and what lists them."""
    trees = given.trees
    assert trees is not None
    given.rounds += 1
    more = given.more(given.files // 100, name=f"new{given.rounds:03}")
    before = _stored(given)

    def work() -> None:
        version = trees.add(given.tree)
        assert version is not None
        assert (version.added, version.stored) == (len(more), len(more) * photos.SIZE)

    took = photos.waited(work)
    assert _stored(given) - before <= 1.2 * len(more) * photos.SIZE
    return took


def floor(given: Input) -> float:
    """Ask for the state of each file; hash and link as many as are new."""
    store = given.root / "floor"
    shutil.rmtree(store, ignore_errors=True)

    def work() -> None:
        found = photos.names(given.folder)
        photos.hash_and_link([path for path, _ in found[: given.files // 100]], store)

    return photos.waited(work)


def _stored(given: Input) -> int:
    return sum(state.st_size for _, state in photos.names(given.root / "project/objects/trees"))


BENCHMARK = Benchmark(
    title="a tree of 20,000 files grows by 1 %",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={"dvc": photos.dvc("more")},
    rounds=5,
)
