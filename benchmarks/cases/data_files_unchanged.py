"""Finding that nothing has changed in 20,000 files, against asking the file system about each, and DVC."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import photos
from harness import Benchmark
from treadle.data.trees import Trees


@dataclass
class Input(photos.Photos):
    """The files, added once."""

    trees: Trees | None = None


def prepare(folder: Path, quick: bool) -> Input:
    """Write the files and add them."""
    made = photos.photos(folder, quick)
    given = Input(made.root, made.files)
    given.trees = given.service("project")
    given.trees.add(given.tree)
    return given


def ours(given: Input) -> float:
    """Say what adding them again would do: nothing."""
    trees = given.trees
    assert trees is not None

    def work() -> None:
        status = trees.status(given.tree)
        assert status.is_unchanged
        assert status.files == given.files

    return photos.waited(work)


def floor(given: Input) -> float:
    """Ask for the state of each file."""
    return photos.waited(lambda: photos.names(given.folder))


BENCHMARK = Benchmark(
    title="nothing has changed in a tree of 20,000 files",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={"dvc": photos.dvc("status")},
    ahead={"dvc": 8},
    rounds=7,
)
