"""Ingests a project again and again, each time in a new process on a disk that fails at another call.

Started as a program with a folder and faults (JSON). It loads every library once, runs nothing itself, and forks: a fork of
a process that has only imported is as fresh as a new interpreter, and two seconds cheaper. Each case leaves one JSON file.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import failing
import msgspec
from failing import Fault

sys.path.insert(0, str(Path(__file__).parents[1]))

from forked import fork
from treadle.app.cli.main import main as treadle_main
from treadle.app.workspace import open_workspace
from treadle.data import inflow, ingest

#: Files that wait to be ingested: so many more calls.
FILES = int(os.environ.get("TREADLE_TEST_INGESTED_FILES", "3"))
PROJECT = """
import treadle as td


class Row(td.Contract):
    id: int
    at: int
    n: int = td.Column(ge=0)


rows = td.Dataset("rows", source=td.Files("in/*.csv"), contract=Row, key="id", updated="at", split=td.HashSplit())
"""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How `treadle ingest` ended."""

    status: int
    said: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a case: the ingestion on the failing disk, the same one after it, and what stood in the stores then."""

    fault: Fault | None
    counts: dict[str, int]
    first: Ended
    left: list[str]
    again: Ended
    made: list[str]


def make(root: Path) -> None:
    """Make the project: files with good rows, bad rows and corrections."""
    (root / "in").mkdir(parents=True)
    (root / "treadle.toml").write_text("")
    (root / "project.py").write_text(PROJECT)
    for number in range(FILES):
        fresh = [(100 * number + n, number, n - 2) for n in range(40)]
        corrected = [(100 * (number - 1) + n, number, 1_000 + n) for n in range(10, 20) if number]
        lines = ["id,at,n", *(",".join(map(str, row)) for row in fresh + corrected)]
        (root / "in" / f"{number}.csv").write_text("\n".join(lines) + "\n")


def main(folder: Path, *, jobs: int) -> None:
    """Play `faults.json` in a folder; each case leaves `<case>/told.json`."""
    # One commit for each file; keys are looked up in an index, which every commit writes.
    inflow.PORTION_BYTES = 1
    ingest.INDEXED = ingest.WORTH_WRITING = 0
    faults = msgspec.json.decode((folder / "faults.json").read_bytes(), type=list[Fault])
    _play_all(folder, [None], jobs=1)
    for name in (folder / "whole" / "modules.txt").read_text().split():
        with suppress(ImportError):
            importlib.import_module(name)
    _play_all(folder, [*faults], jobs=jobs)


def _play_all(folder: Path, faults: list[Fault | None], *, jobs: int) -> None:
    alive: set[int] = set()
    for fault in faults:
        if len(alive) >= jobs:
            alive.discard(os.wait()[0])
        place = folder / (fault.shown if fault else "whole")
        place.mkdir()
        alive.add(fork(lambda fault=fault, place=place: _play(place, fault), log=place / "problem.txt"))
    while alive:
        alive.discard(os.wait()[0])


def _play(place: Path, fault: Fault | None) -> int:
    """Play one case. It forks for everything, so that nothing is ever run in this process."""
    root = place / "project"
    make(root)
    ours, theirs = socket.socketpair()

    def fail() -> int:
        failing.ask_for(theirs)
        treadle_main(["ingest", "--project", str(root)])
        return 0

    pid = fork(fail, log=place / "first.txt")
    theirs.close()
    counts = failing.decide(ours, root, fault)
    first = _ended(pid, place / "first.txt")
    again = _ended(fork(lambda: _again(place, root), log=place / "again.txt"), place / "again.txt")
    left, made = (msgspec.json.decode((place / name).read_bytes()) for name in ("left.json", "made.json"))
    told = Told(fault=fault, counts=counts, first=first, left=left, again=again, made=made)
    (place / "told.json").write_bytes(msgspec.json.encode(told))
    shutil.rmtree(root)
    return 0


def _again(place: Path, root: Path) -> int:
    (place / "left.json").write_bytes(msgspec.json.encode(_facts(root)))
    try:
        treadle_main(["ingest", "--project", str(root)])
    finally:
        (place / "made.json").write_bytes(msgspec.json.encode(_facts(root)))
        (place / "modules.txt").write_text(
            "\n".join(sorted(name for name in sys.modules if not name.startswith(("treadle_project", "__"))))
        )
    return 0


def _ended(pid: int, log: Path) -> Ended:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(status=status, said=log.read_text())


def _facts(root: Path) -> list[str]:
    """Return the digest of each version, with what is in quarantine then."""
    if not (root / ".treadle" / "ledger.db").exists():
        return []
    with open_workspace(root) as workspace:
        datasets = workspace.datasets
        if "rows" not in datasets.names():
            return []
        return [_digest(datasets, one.version) for one in datasets.versions("rows")]


def _digest(datasets: Any, version: int) -> str:
    rows = datasets.read("rows", version=version, columns=["id", "at", "n", "_split", "_version"]).sort("id")
    bad = (
        datasets.quarantine("rows", version=version)
        .select("_reason", "_file", "_row", "_version")
        .sort("_file", "_row")
    )
    assert rows.height == datasets.version("rows", version).rows
    return hashlib.sha256((rows.write_csv() + bad.write_csv()).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main(Path(sys.argv[1]), jobs=int(sys.argv[2]))
