"""Checking out 20,000 files into an empty folder, against hard-linking them, and DVC."""

from __future__ import annotations

import os
import shutil
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
    """Check the version out."""
    trees, to = given.trees, given.root / "checkout"
    assert trees is not None
    shutil.rmtree(to, ignore_errors=True)

    def work() -> None:
        assert trees.checkout("photos", to=to).written == given.files

    return photos.waited(work)


def floor(given: Input) -> float:
    """Link each stored file into as many folders."""
    to = given.root / "floor"
    shutil.rmtree(to, ignore_errors=True)
    stored = [path for path, _ in photos.names(given.root / "project/objects/trees")]

    def work() -> None:
        for number in range(photos.FOLDERS):
            (to / str(number)).mkdir(parents=True)
        for number, path in enumerate(stored):
            os.link(path, f"{to}/{number % photos.FOLDERS}/{number}")

    return photos.waited(work)


BENCHMARK = Benchmark(
    title="20,000 files of a tree's version appear in an empty folder",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={"dvc": photos.dvc("checkout", links=False), "dvc with hard links": photos.dvc("checkout")},
    ahead={"dvc": 15, "dvc with hard links": 15},
    rounds=5,
)
