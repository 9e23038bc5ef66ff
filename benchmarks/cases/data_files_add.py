"""Adding 20,000 files of 50 KB by linking them, against hashing and hard-linking them, and DVC."""

from __future__ import annotations

import shutil
from pathlib import Path

import photos
from harness import Benchmark


def prepare(folder: Path, quick: bool) -> photos.Photos:
    """Write the files."""
    return photos.photos(folder, quick, link=True)


def ours(given: photos.Photos) -> float:
    """Add them to a project that knows nothing of them."""
    trees = given.fresh()

    def work() -> None:
        version = trees.add(given.tree)
        assert version is not None
        assert version.files == given.files

    return photos.waited(work)


def floor(given: photos.Photos) -> float:
    """Hash each file and link it, one after the other."""
    store = given.root / "floor"
    shutil.rmtree(store, ignore_errors=True)
    return photos.waited(
        lambda: photos.hash_and_link([path for path, _ in photos.names(given.folder)], store)
    )


BENCHMARK = Benchmark(
    title="20,000 files of 50 KB become a version of a tree declared with link=True",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={"dvc": photos.dvc("add", links=False), "dvc with hard links": photos.dvc("add")},
    floors=1.5,
    ahead={"dvc": 10, "dvc with hard links": 10},
    rounds=3,
)
