"""A process that adds, checks out and collects, again and again, killed at one step further each time.

Argument: the project's folder. It prints how many steps there were.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from treadle.core.clock import SystemClock
from treadle.core.errors import TreadleError
from treadle.data.tree import placing, stat_cache
from treadle.data.trees import Tree, Trees
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.folder_contents import FolderContents

TREE = Tree("photos", source="photos")
left = [0]
#: Steps are skipped, as each costs a fifth of a second; three runs would see them all.
STRIDE = 3


def step() -> None:
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name):
    real = getattr(owner, name)

    def stepping(*given, **more):
        step()
        found = real(*given, **more)
        step()
        return found

    setattr(owner, name, stepping)


def service(root: Path) -> Trees:
    return Trees(
        ledger=Ledger.open("sqlite:///ledger.db", root=root),
        contents=FolderContents(root / "objects"),
        clock=SystemClock(),
        root=root,
        state=root / ".treadle",
    )


def work(root: Path, number: int) -> None:
    trees = service(root)
    trees.add(TREE)
    trees.checkout("photos", to=root / "out", mode="copy")
    trees.collect("photos", keep=[], dry_run=False)


def child(root: Path, number: int) -> None:
    for owner, name in (
        (FolderContents, "put"),
        (FolderContents, "flush"),
        (FolderContents, "delete"),
        (FolderContents, "lend"),
        (stat_cache, "save"),
        (placing.Placing, "remove"),
        (os, "rename"),
        (os, "utime"),
    ):
        around(owner, name)
    real = Ledger.write

    @contextmanager
    def write(self):
        step()
        with real(self) as connection:
            yield connection
            step()
        step()

    Ledger.write = write
    left[0] = number
    work(root, number)


def tried(root: str) -> int:
    """Add, and return an exit code: 0, or 3 where that was refused."""
    try:
        service(Path(root)).add(TREE)
    except TreadleError:
        return 3
    return 0


def change(folder: Path, number: int) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "same").write_text("same")
    (folder / "changing").unlink(missing_ok=True)
    (folder / "changing").write_text(f"{number}")
    (folder / f"new{number}").write_text(f"new {number}")
    (folder / f"new{number - 3 * STRIDE}").unlink(missing_ok=True)
    return {path.name: path.read_text() for path in folder.iterdir()}


def main(root: Path) -> None:
    number, versions = 0, 0
    while True:
        number += STRIDE
        wanted = change(root / "photos", number)
        pid = os.fork()
        if pid == 0:
            child(root, number)
            os._exit(0)
        finished = os.waitpid(pid, 0)[1] == 0
        work(root, number)
        trees = service(root)
        found = trees.version("photos")
        assert {
            file.path: trees.read("photos", file.path).decode() for file in trees.files("photos")
        } == wanted
        assert {p.name: p.read_text() for p in (root / "out").iterdir() if p.name[0] != "."} == wanted
        assert [p for p in (root / "out").iterdir() if p.name.startswith(".part-")] == []
        assert found.version == versions + 1, (number, found.version, versions)
        assert (found.files, found.stored >= 0) == (len(wanted), True)
        stored = sum(1 for _ in FolderContents(root / "objects").list())
        assert stored == len(set(wanted.values())) + 2, (number, stored)
        versions = found.version
        if finished:
            break
    sys.stdout.write(f"{number}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
