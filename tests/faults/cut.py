"""What a power cut leaves of a disk: one of very many states, chosen at random."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from disk import BLOCK, NOTHING, SECTOR, Disk, File, Folder, History, Node, applied

T = TypeVar("T")


@dataclass(frozen=True)
class Cut:
    """What a power cut does: one way for names, one for contents, one for times, chosen at random.

    >>> made = Cut.drawn(random.Random(1)).left(disk, to=folder)            # doctest: +SKIP
    """

    chance: random.Random
    names: str
    contents: str
    attributes: str

    @classmethod
    def drawn(cls, chance: random.Random) -> Cut:
        """Draw one: everything lost and everything kept, which most bugs need, come more often."""
        return cls(
            chance,
            names=chance.choice(["all", "none", "first", "some"]),
            contents=chance.choice(["all", "none", "sizes", "torn", "some", "some"]),
            attributes=chance.choice(["all", "none", "some"]),
        )

    @property
    def shown(self) -> str:
        """How it was drawn, for messages."""
        return f"names {self.names}, contents {self.contents}, attributes {self.attributes}"

    def left(self, disk: Disk, *, to: Path) -> Path:
        """Make a folder of what is left."""
        made: dict[int, Path] = {}
        self._folder(disk.root, to, made)
        return to

    def _folder(self, folder: Folder, to: Path, made: dict[int, Path]) -> None:
        to.mkdir(exist_ok=True)
        for name, node in self._kept(folder).items():
            place = to / name
            if isinstance(node, Folder):
                self._folder(node, place, made)
            elif id(node) in made:
                os.link(made[id(node)], place)
            else:
                made[id(node)] = place
                self._file(node, place)

    def _kept(self, folder: Folder) -> dict[str, Node]:
        changes = [change for _, change in folder.changes]
        match self.names:
            case "none":
                changes = []
            case "first":
                changes = changes[: self.chance.randint(0, len(changes))]
            case "some":
                changes = [change for change in changes if self.chance.random() < 0.5]
        return applied(folder.names, changes)

    def _file(self, file: File, place: Path) -> None:
        size = self._size(file)
        blocks = (self._block(file.blocks.get(number, [(0, None)])) for number in range(-(-size // BLOCK)))
        place.write_bytes(b"".join(blocks)[:size])
        mode, time = self._one(file.modes), self._one(file.times)
        if time is not None:
            os.utime(place, ns=(time, time))
        place.chmod(mode)

    def _one(self, history: History[T]) -> T:
        match self.attributes:
            case "all":
                return history[-1][1]
            case "none":
                return history[0][1]
        return self.chance.choice(history)[1]

    def _size(self, file: File) -> int:
        known = [size for _, size in file.sizes]
        match self.contents:
            case "all" | "sizes" | "torn":
                return known[-1]
            case "none":
                return known[0]
        low, high = min(known), max(known)
        return self.chance.choice([*known, min(high, -(-self.chance.randint(low, high) // BLOCK) * BLOCK)])

    def _block(self, history: History[bytes | None]) -> bytes:
        before, after = history[0][1], history[-1][1] or NOTHING
        if len(history) == 1 or self.contents == "all":
            return after
        if self.contents == "none" or (self.contents == "sizes" and before is None):
            return before or NOTHING
        some = self.chance.choice(history)[1] or NOTHING
        if self.contents == "torn" or self.chance.random() < 0.3:
            cut = SECTOR * self.chance.randrange(BLOCK // SECTOR + 1)
            other = before or NOTHING
            return after[:cut] + other[cut:] if self.chance.random() < 0.7 else other[:cut] + after[cut:]
        return some
