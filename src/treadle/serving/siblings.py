"""What the workers of one server have counted, left where each of them finds it: whoever is asked answers for all.

What a worker counted outlives it: the next one in its seat takes its counts over, so that totals never go back. A file
names the processes whose counts are in it, and theirs are passed over, so nothing counts twice while it changes hands.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from treadle.serving.telemetry import Family, merged

#: Kinds of metrics that add up for ever; others are states of a process that lives.
_ADD_UP = {"counter", "histogram"}


class Counted(msgspec.Struct):
    """What one worker left."""

    process: int
    seat: int
    #: Processes whose counts are among these.
    inherited: list[int]
    families: list[Family]


class Siblings:
    """The counts of a worker and of those beside and before it."""

    def __init__(self, folder: Path, seat: int) -> None:
        """Use a folder, in which each server has one of its own; those of servers that have ended are removed."""
        self._seat, self._me = seat, os.getpid()
        self._folder = folder / _named(os.getppid())
        self._before: list[Family] = []
        self._inherited: list[int] = []
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in folder.iterdir():
            if other.name != _named(int(other.name.partition("-")[0] or 0)):
                shutil.rmtree(other, ignore_errors=True)

    def shared(self, own: list[Family]) -> list[Family]:
        """Leave what this worker has counted for the others, and return it with theirs.

        Raises:
            OSError: it cannot be written.
        """
        found = self._found()
        for one in found:
            if one.seat == self._seat and one.process not in self._inherited and not _lives(one.process):
                self._before = merged([*self._before, *_adding_up(one.families)])
                self._inherited += [one.process, *one.inherited]
        families = merged([*own, *self._before])
        mine = Counted(self._me, self._seat, self._inherited, families)
        path = self._path(self._me)
        fresh = path.with_suffix(".next")
        fresh.write_bytes(msgspec.json.encode(mine))
        fresh.replace(path)
        gone = {process for one in (*found, mine) for process in one.inherited}
        for process in self._inherited:
            self._path(process).unlink(missing_ok=True)
        beside = [one for one in found if one.process not in gone]
        return families + [
            family
            for one in beside
            for family in (one.families if _lives(one.process) else _adding_up(one.families))
        ]

    def _found(self) -> list[Counted]:
        found = []
        for path in self._folder.glob("*.json"):
            with suppress(FileNotFoundError, msgspec.DecodeError):
                found.append(msgspec.json.decode(path.read_bytes(), type=Counted))
        return [one for one in found if one.process != self._me]

    def _path(self, process: int) -> Path:
        return self._folder / f"{process}.json"


def _adding_up(families: Sequence[Family]) -> list[Family]:
    return [family for family in families if family.kind in _ADD_UP]


def _named(process: int) -> str:
    """Return a name for a process that no later one has."""
    return f"{process}-{_stat(process)[19]}"


def _lives(process: int) -> bool:
    """Say whether a worker of this server lives."""
    state, parent = _stat(process)[:2]
    return state not in {"", "Z", "X"} and parent == str(os.getppid())


def _stat(process: int) -> list[str]:
    """Return what the kernel says of a process from its state on; empty texts: there is none, or no kernel that says it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        pass
    try:
        os.kill(process, 0)
    except OSError:
        return [""] * 20
    return ["R", str(os.getppid()), *[""] * 18]
