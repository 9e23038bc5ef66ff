"""Cuts the power of recorded programs at random moments, and looks at what their stores make of it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cut import Cut
from disk import Disk, File, Folder
from tracing import Moment, record, text
from writers import WRITERS

from treadle.core.errors import TreadleError

PROGRAM = Path(__file__).with_name("writers.py")


@dataclass(frozen=True)
class Recording:
    """What one writer did to its disk, and when it was told that a step had been done."""

    name: str
    disk: Path
    moments: list[Moment]
    #: By moment: what the caller had been told.
    told: list[list[Any]]

    def problems(self, count: int, *, seed: int, into: Path) -> list[str]:
        """Return what is wrong after power cuts."""
        told = []
        for disk, known, how in self.states(count, seed=seed, into=into):
            try:
                wrong = problem(self.name, disk, known)
            except (TreadleError, AssertionError) as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                told.append(f"{self.name} {how}: {wrong}")
        return told

    def undisturbed(self) -> Disk:
        """Return the disk after the last moment, with everything still in memory."""
        disk = self._fresh()
        for moment in self.moments:
            disk.see(moment)
        return disk

    def states(self, count: int, *, seed: int, into: Path) -> Iterator[tuple[Path, list[Any], str]]:
        """Yield folders as they may be after a power cut, each with what the caller had been told, and how it was cut.

        Of `count` that are drawn, those that are alike come once.
        """
        chance = random.Random(f"{self.name} {seed}")
        last, disk, known = -1, self._fresh(), set[tuple[str, int]]()
        for place in sorted(chance.choices(range(len(self.moments)), k=count)):
            for moment in self.moments[last + 1 : place + 1]:
                disk.see(moment)
            last = place
            cut = Cut.drawn(chance)
            folder = into / f"{self.name}-{place}"
            (folder / "disk").mkdir(parents=True)
            cut.left(disk, to=folder / "disk")
            state = digest_of(folder / "disk"), len(self.told[place])
            if state not in known:
                known.add(state)
                yield folder / "disk", self.told[place], f"at {place} of {len(self.moments)}: {cut.shown}"
            shutil.rmtree(folder)

    def _fresh(self) -> Disk:
        return Disk(self.disk)


def recorded(folder: Path, *names: str, faults: tuple[str, ...] = ()) -> dict[str, Recording]:
    """Let writers work, on a disk with faults (see `tracing.record`), and return what each did."""
    moments = record(str(PROGRAM), str(folder), *names, into=folder, faults=faults)
    return {name: _of(name, folder / name, moments) for name in names}


def problem(name: str, root: Path, told: list[Any]) -> str:
    """Return what is wrong with what a power cut has left of a store; empty: nothing."""
    writer = WRITERS[name]
    states, done = writer.states(), len(told)
    before, after = states[done], states[min(done + 1, len(states) - 1)]
    found = writer.look(root, told)
    if found not in (before, after):
        return (
            f"after {done} steps {len(before - found)} things are lost, and {len(found - after)} are nobody's"
        )
    found = writer.go_on(root, told)
    if found not in states[done:]:
        return f"gone on with after {done} steps, {len(before - found)} things are lost, {len(found - after)} nobody's"
    return ""


def digest_of(root: Path) -> str:
    """Return the digest of everything in a folder."""
    found = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            state = path.stat()
            found.update(f"{path.relative_to(root)} {state.st_mode} {state.st_size}".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def differences(folder: Folder, root: Path) -> list[str]:
    """Return the paths at which a disk in memory and a real folder differ."""
    there = {path.name: path for path in root.iterdir()}
    told = [f"{root / name}: only one has it" for name in there.keys() ^ folder.present.keys()]
    for name in there.keys() & folder.present.keys():
        node, path = folder.present[name], there[name]
        if isinstance(node, Folder):
            told += differences(node, path)
        elif not name.endswith(("-lock", "-shm")) and _differs(node, path):
            told.append(f"{path}: another content, mode or time")
    return told


def _differs(file: File, path: Path) -> bool:
    state, time = path.stat(), file.times[-1][1]
    return (
        file.content != path.read_bytes()
        or file.modes[-1][1] != state.st_mode & 0o7777
        or time not in (None, state.st_mtime_ns)
    )


def _of(name: str, folder: Path, moments: list[Moment]) -> Recording:
    """Keep the moments that mean something to one disk: its own calls, and where something was told."""
    disk, file = Disk(folder / "disk"), str(folder / "acked")
    kept, told, handle, lines = list[Moment](), list[list[Any]](), None, list[Any]()
    for moment in moments:
        call = moment.call
        if call.name == "openat" and text(call.arguments[1]).decode() == file:
            handle = str(call.result)
        is_told = call.name == "write" and call.arguments[0] == handle and not moment.is_end
        if is_told and text(call.arguments[1]).endswith(b"\n"):
            lines = [*lines, json.loads(text(call.arguments[1]))]
        if disk.see(moment) or is_told:
            kept.append(moment)
            told.append(lines)
    assert lines, f"{name} was told nothing"
    return Recording(name, folder / "disk", kept, told)
