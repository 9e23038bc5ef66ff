"""Adding 20,000 files of 50 KB to a store with copies of its own (the default where nothing can be cloned)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from blake3 import blake3

import photos
from harness import Benchmark


def prepare(folder: Path, quick: bool) -> photos.Photos:
    """Write the files."""
    return photos.photos(folder, quick)


def ours(given: photos.Photos) -> float:
    """Add them to a project that knows nothing of them."""
    trees = given.fresh()
    return photos.waited(lambda: trees.add(given.tree))


def floor(given: photos.Photos) -> float:
    """Hash and copy each file, and wait until the disk has it all."""
    store = given.root / "floor"
    shutil.rmtree(store, ignore_errors=True)

    def work() -> None:
        for number in range(256):
            (store / f"{number:02x}").mkdir(parents=True)
        for path, _ in photos.names(given.folder):
            data = Path(path).read_bytes()
            digest = blake3(data).hexdigest()
            Path(store, digest[:2], digest).write_bytes(data)
        os.sync()

    return photos.waited(work)


BENCHMARK = Benchmark(
    title="20,000 files of 50 KB become a version of a tree, copied into the store",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.5,
    rounds=5,
)
