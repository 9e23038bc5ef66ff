"""The folders of one machine in which rows of the project are scored for jobs; a worker that died goes on in its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from treadle.core.ids import digest_of


class Scratch:
    """A folder for each job. One whose job has ended is left by a worker that was killed, and is removed.

    >>> Scratch(Path(".treadle/jobs")).of("mine").name[:8]
    '034dcbd2'
    """

    def __init__(self, root: Path) -> None:
        """Take where they are."""
        self._root = root

    def of(self, name: str) -> Path:
        """Return a job's folder. A caller chooses a job's id, so it is no part of the path as it is."""
        return self._root / digest_of(name).removeprefix("sha256:")

    def clear(self, name: str) -> None:
        """Remove a job's folder, if it is there."""
        shutil.rmtree(self.of(name), ignore_errors=True)

    def sweep(self, still_open: Callable[[], Collection[str]]) -> int:
        """Remove the folders of jobs that are not open any more; return how many there were."""
        # Looked at before the jobs: a job that begins meanwhile is not taken for one that has ended.
        there = list(self._root.iterdir()) if self._root.is_dir() else []
        if not there:
            return 0
        kept = {self.of(name).name for name in still_open()}
        gone = [folder for folder in there if folder.name not in kept]
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        return len(gone)
