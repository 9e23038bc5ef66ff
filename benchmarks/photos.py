"""A folder of 20,000 files of 50 KB as data, and where the benchmarks of trees keep their versions of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from blake3 import blake3

from harness import Peer
from treadle.core.clock import SystemClock
from treadle.data.trees import Tree, Trees
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.contents import open_contents

SIZE, FOLDERS = 50_000, 20
#: A moment long past: files that have just changed are looked at more closely, and these stand for ones that have not.
LONG_AGO = 1_500_000_000


@dataclass
class Photos:
    """The folder, and a project beside it."""

    root: Path
    files: int
    link: bool = False
    samples: int = 0

    @property
    def folder(self) -> Path:
        """The files."""
        return self.root / "photos"

    @property
    def tree(self) -> Tree:
        """The declaration."""
        return Tree("photos", source=str(self.folder), link=self.link)

    def service(self, name: str) -> Trees:
        """Return trees with a ledger and a store in a folder of their own."""
        project = self.root / name
        project.mkdir(exist_ok=True)
        return Trees(
            ledger=Ledger.open("sqlite:///ledger.db", root=project),
            contents=open_contents("objects", root=project, options={}),
            clock=SystemClock(),
            root=project,
            state=project / ".treadle",
        )

    def fresh(self) -> Trees:
        """Return trees that know nothing yet; the ones before are removed."""
        shutil.rmtree(self.root / f"fresh{self.samples}", ignore_errors=True)
        self.samples += 1
        return self.service(f"fresh{self.samples}")

    def more(self, files: int, *, name: str) -> list[Path]:
        """Write further files, and return their paths."""
        random = np.random.default_rng(crc32(name.encode()))
        paths = []
        for number in range(files):
            path = self.folder / f"{number % FOLDERS:02}" / f"{name}_{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.bytes(SIZE))
            os.utime(path, (LONG_AGO, LONG_AGO))
            paths.append(path)
        return paths


def photos(root: Path, quick: bool, *, link: bool = False) -> Photos:
    """Write the files."""
    made = Photos(root, 200 if quick else 20_000, link)
    made.more(made.files, name="img")
    return made


def waited(work: Callable[[], Any]) -> float:
    """Return the seconds that a piece of work takes; what others have left to write is written before."""
    os.sync()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def hash_and_link(paths: list[str], store: Path) -> None:
    """Hash files and link them into a folder by their digest: what nobody who adds by linking can do without."""
    for number in range(256):
        (store / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    root = str(store)
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        digest = blake3(os.read(file, 2 * SIZE)).hexdigest()
        os.close(file)
        os.link(path, f"{root}/{digest[:2]}/{digest}")


def names(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Return the files below a folder and their states."""
    found = []
    for inner in os.scandir(folder):
        found += [(entry.path, entry.stat(follow_symlinks=False)) for entry in os.scandir(inner.path)]
    return found


def dvc(action: str, *, links: bool = True) -> Peer:
    """Return DVC, linking or as it is installed, doing one thing in its own process; the start of Python is not counted."""
    kind = "reflink,hardlink" if links else "reflink,copy"
    return Peer(
        script="dvc_files.py",
        packages=("dvc>=3.67,<4",),
        arguments=lambda given: [action, str(given.root / f"dvc-{links}"), str(given.folder), kind],
    )
