"""A disk that loses its power: what calls make of it, and every state in which it may be found afterwards.

Certain is only what a sync has returned for, without an error then or before: the content, the size and the times of a file after its own fsync (after
fdatasync without the times), the names in a folder after the fsync of that folder, everything after syncfs. Of what
came later each block by itself may be there, or not, or a part of it in sectors, or be zeroes where the disk held
nothing before; each size between the old one and the new, and each change of a name, by itself too. That is more than
most file systems do, and no less than POSIX allows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tracing import Call, Moment, text

BLOCK, SECTOR = 4096, 512
NOTHING = bytes(BLOCK)
_HANDLE = re.compile(r"/proc/self/fd/(\d+)")
#: Calls that would change a file unseen.
_UNKNOWN = {
    "copy_file_range",
    "sendfile",
    "splice",
    "io_uring_setup",
    "fork",
    "vfork",
    "symlink",
    "symlinkat",
}
T = TypeVar("T")
#: What something was and is, each with the number of the moment at which it came; the first is on the disk.
History = list[tuple[int, T]]


@dataclass(eq=False)
class File:
    """A file, with everything that it may be after a power cut."""

    sizes: History[int] = field(default_factory=lambda: [(0, 0)])
    #: None: the disk holds no block here yet.
    blocks: dict[int, History[bytes | None]] = field(default_factory=dict)
    modes: History[int] = field(default_factory=lambda: [(0, 0o600)])
    #: Nanoseconds; None: whenever it was written.
    times: History[int | None] = field(default_factory=lambda: [(0, None)])
    #: The last moment at which a sync failed: Linux takes blocks that it should have written for written from then on.
    failed: int = 0

    def write(self, at: int, offset: int, data: bytes) -> None:
        """Change the content, in memory."""
        end = offset + len(data)
        for number in range(offset // BLOCK, -(-end // BLOCK)):
            start = number * BLOCK
            block = bytearray(self._block(number))
            low, high = max(offset, start), min(end, start + BLOCK)
            block[low - start : high - start] = data[low - offset : high - offset]
            self.blocks.setdefault(number, [(0, None)]).append((at, bytes(block)))
        if end > self.size:
            self.sizes.append((at, end))
        if self.times[-1][1] is not None:
            self.times.append((at, None))

    def truncate(self, at: int, size: int) -> None:
        """Change the size, in memory; what is cut off reads as zeroes if the file grows again."""
        for number, history in self.blocks.items():
            keep = min(max(size - number * BLOCK, 0), BLOCK)
            if keep < BLOCK:
                history.append((at, self._block(number)[:keep].ljust(BLOCK, b"\0")))
        self.sizes.append((at, size))

    def sync(self, before: int, *, with_times: bool) -> None:
        """Make certain what came before a moment."""
        for history in (self.sizes, *((self.modes, self.times) if with_times else ())):
            _settle(history, before)
        for block in self.blocks.values():
            _settle(block, before, failed=self.failed)

    def sync_part(self, before: int, offset: int, size: int) -> None:
        """Make a part certain, as a write to a file that was opened with O_DSYNC does."""
        _settle(self.sizes, before)
        for number in range(offset // BLOCK, -(-(offset + size) // BLOCK)):
            _settle(self.blocks[number], before, failed=self.failed)

    @property
    def size(self) -> int:
        """The size in memory."""
        return self.sizes[-1][1]

    @property
    def content(self) -> bytes:
        """The content in memory."""
        return b"".join(self._block(number) for number in range(-(-self.size // BLOCK)))[: self.size]

    def _block(self, number: int) -> bytes:
        return self.blocks.get(number, [(0, None)])[-1][1] or NOTHING


@dataclass(eq=False)
class Folder:
    """A folder: its names on the disk, and what was changed since."""

    names: dict[str, Node] = field(default_factory=dict)
    #: Moment, and name → what it stands for now; None: for nothing.
    changes: list[tuple[int, dict[str, Node | None]]] = field(default_factory=list)

    def change(self, at: int, names: dict[str, Node | None]) -> None:
        """Change names, in memory."""
        self.changes.append((at, names))

    def sync(self, before: int) -> None:
        """Make certain what came before a moment."""
        self.names = applied(self.names, (change for at, change in self.changes if at <= before))
        self.changes = [(at, change) for at, change in self.changes if at > before]

    @property
    def present(self) -> dict[str, Node]:
        """The names in memory."""
        return applied(self.names, (change for _, change in self.changes))


Node = File | Folder


@dataclass
class Handle:
    """An open file."""

    node: Node
    place: int = 0
    appends: bool = False
    syncs: bool = False


class Disk:
    """A folder of a disk while a program works on it; told of moments, it knows what may be there after each."""

    def __init__(self, root: Path) -> None:
        """Begin with an empty folder."""
        self._root = PurePosixPath(os.path.realpath(root))
        self._now = 1
        self._handles: dict[int, Handle] = {}
        #: Whether the present call is about this folder.
        self._touched = False
        #: Where a sync began.
        self._begun: dict[int, int] = {}
        self.root = Folder()
        self._all: list[Node] = [self.root]

    def see(self, moment: Moment) -> bool:
        """Do what happens at a moment; return whether it was about this folder."""
        call = moment.call
        self._now += 1
        self._touched = False
        if call.result is None or call.result < 0:
            if moment.is_end and call.name in {"fsync", "fdatasync", "syncfs"}:
                self._fail(call)
            return self._touched
        if moment.is_end:
            self._end(call, call.result)
        else:
            self._begin(call, call.result)
        return self._touched

    def _begin(self, call: Call, result: int) -> None:
        """Content changes when a call begins: a power cut may come in the middle of it."""
        handle = self._handle(call.arguments[0]) if call.arguments else None
        match call.name:
            case "close" if handle:
                del self._handles[int(call.arguments[0])]
            case "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" if handle:
                self._write(call, handle, text(call.arguments[1])[:result])
            case "ftruncate" if handle and isinstance(handle.node, File):
                handle.node.truncate(self._now, int(call.arguments[1]))
            case "fsync" | "fdatasync" | "syncfs" | "sync":
                self._begun[id(call)] = self._now
                self._touched |= not call.name.startswith("f")
            case "ioctl" if handle and "CLONE" in call.arguments[1]:
                assert isinstance(handle.node, File)
                source = self._handles[int(call.arguments[2])].node
                assert isinstance(source, File), "a clone from elsewhere is not understood"
                handle.node.write(self._now, 0, source.content)
            case "mmap":
                self._check_map(call)
            case name if name in _UNKNOWN:
                assert handle is None or isinstance(handle.node, Folder), (
                    f"{name} on a file is not understood"
                )
            case _:
                pass

    def _end(self, call: Call, result: int) -> None:
        """Names change when a call ends: only then is it known which file was meant."""
        given = call.arguments
        match call.name:
            case "open" | "creat":
                self._open(self._at("AT_FDCWD", given[0]), given[1], given[2:], result)
            case "openat":
                self._open(self._at(given[0], given[1]), given[2], given[3:], result)
            case "syncfs" | "sync":
                self._touched = True
                self._sync(self._all, call)
            case "mkdir" | "mkdirat":
                self._put(self._at(*_placed(given)[:2]), Folder())
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                self._move(call)
            case "unlink" | "rmdir" | "unlinkat":
                self._put(self._at(*_placed(given)[:2]), None)
            case "chmod" | "fchmodat" | "utimensat":
                self._attribute(call)
            case _:
                handle = self._handle(given[0]) if given else None
                if handle:
                    self._end_on(handle, call, result)

    def _end_on(self, handle: Handle, call: Call, result: int) -> None:
        node = handle.node
        match call.name:
            case "dup" | "dup2" | "dup3":
                self._handles[result] = handle
            case "fcntl" if call.arguments[1].startswith("F_DUPFD"):
                self._handles[result] = handle
            case "lseek":
                handle.place = result
            case "fsync" | "fdatasync":
                self._sync([node], call)
            case "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" if handle.syncs:
                assert isinstance(node, File)
                offset = self._offset(call)
                node.sync_part(self._now, handle.place - result if offset is None else offset, result)
            case "fallocate":
                raise AssertionError("fallocate is not understood")
            case "fchmod" if isinstance(node, File):
                node.modes.append((self._now, int(call.arguments[1], 8)))
            case _:
                pass

    def _handle(self, argument: str) -> Handle | None:
        found = self._handles.get(int(argument)) if argument.isdigit() else None
        self._touched |= found is not None
        return found

    def _open(self, place: tuple[Folder, str] | None, flags: str, mode: list[str], result: int) -> None:
        self._handles.pop(result, None)
        if place is None:
            return
        folder, name = place
        node: Node | None = folder if name == "." else folder.present.get(name)
        if "O_TMPFILE" in flags:
            node = self._new_file(mode)
        elif node is None:
            assert "O_CREAT" in flags, f"{name} was opened and never made"
            node = self._new_file(mode)
            folder.change(self._now, {name: node})
        elif "O_TRUNC" in flags and isinstance(node, File) and node.size:
            node.truncate(self._now, 0)
        self._handles[result] = Handle(node, appends="O_APPEND" in flags, syncs="SYNC" in flags)

    def _new_file(self, mode: list[str]) -> File:
        file = File(modes=[(self._now, int(mode[0], 8) & ~0o022)])
        self._all.append(file)
        return file

    def _write(self, call: Call, handle: Handle, data: bytes) -> None:
        assert isinstance(handle.node, File)
        offset = self._offset(call)
        if offset is None:
            offset = handle.node.size if handle.appends else handle.place
            handle.place = offset + len(data)
        handle.node.write(self._now, offset, data)

    def _offset(self, call: Call) -> int | None:
        return int(call.arguments[3]) if call.name.startswith("p") else None

    def _sync(self, nodes: Iterable[Node], call: Call) -> None:
        before = self._begun.pop(id(call))
        for node in nodes:
            if isinstance(node, Folder):
                node.sync(before)
            else:
                node.sync(before, with_times=call.name != "fdatasync")

    def _fail(self, call: Call) -> None:
        handle = self._handle(call.arguments[0])
        for node in self._all if call.name == "syncfs" else [handle.node] if handle else []:
            if isinstance(node, File):
                node.failed = self._now

    def _check_map(self, call: Call) -> None:
        """Make sure that no file is changed through memory, but for locks, which nothing survives in."""
        handle = self._handle(call.arguments[4])
        if handle and "PROT_WRITE" in call.arguments[2] and "MAP_SHARED" in call.arguments[3]:
            names = [
                name
                for folder in self._all
                if isinstance(folder, Folder)
                for name, node in folder.present.items()
                if node is handle.node
            ]
            assert all(name.endswith(("-lock", "-shm")) for name in names), (
                f"{names} are written through memory"
            )

    def _move(self, call: Call) -> None:
        old_folder, old, new_folder, new = _placed(call.arguments)
        target = self._at(new_folder, new)
        handle = _HANDLE.fullmatch(text(old).decode())
        if handle:
            nameless = self._handle(handle[1])
            self._put(target, nameless.node if nameless else None)
            return
        source = self._at(old_folder, old)
        if source is None and target is None:
            return
        assert source, "files from elsewhere are not understood"
        node = source[0].present[source[1]]
        gone = {} if call.name.startswith("link") else {source[1]: None}
        if target is not None and target[0] is source[0]:
            source[0].change(self._now, {**gone, target[1]: node})
            return
        if target is not None:
            self._put(target, node)
        if gone:
            source[0].change(self._now, gone)

    def _attribute(self, call: Call) -> None:
        given = call.arguments
        if call.name == "chmod":
            given = ["AT_FDCWD", *given]
        if given[1] == "NULL":
            handle = self._handle(given[0])
            node = handle.node if handle else None
        else:
            place = self._at(given[0], given[1])
            node = place[0].present.get(place[1]) if place else None
        if not isinstance(node, File):
            return
        if call.name == "utimensat":
            seconds, parts = re.findall(r"tv_sec=(\d+), tv_nsec=(\d+)", given[2])[1]
            node.times.append((self._now, int(seconds) * 10**9 + int(parts)))
        else:
            node.modes.append((self._now, int(given[2], 8)))

    def _put(self, place: tuple[Folder, str] | None, node: Node | None) -> None:
        if place is not None and place[1] != ".":
            place[0].change(self._now, {place[1]: node})
            if isinstance(node, Folder):
                self._all.append(node)

    def _at(self, folder: str, path: str) -> tuple[Folder, str] | None:
        """Return the folder and the name that a path means; None: it is somewhere else."""
        told = PurePosixPath(text(path).decode())
        node: Node = self.root
        if not told.is_absolute():
            handle = self._handle(folder)
            if handle is None:
                return None
            node = handle.node
        elif not told.is_relative_to(self._root):
            return None
        else:
            told = told.relative_to(self._root)
        self._touched = True
        assert ".." not in told.parts
        for name in told.parts[:-1]:
            assert isinstance(node, Folder)
            node = node.present[name]
        assert isinstance(node, Folder)
        return node, told.parts[-1] if told.parts else "."


def _settle(history: History[T], before: int, *, failed: int = 0) -> None:
    """Forget what something was before it was last certain; it never is if its own sync has failed."""
    certain = sum(at <= before for at, _ in history)
    if certain > 1 and history[certain - 1][0] > failed:
        del history[: certain - 1]


def applied(names: dict[str, Node], changes: Iterable[dict[str, Node | None]]) -> dict[str, Node]:
    found: dict[str, Node | None] = dict(names)
    for change in changes:
        found |= change
    return {name: node for name, node in found.items() if node is not None}


def _placed(arguments: list[str]) -> list[str]:
    """Return folder and path, for each path of a call; where it names no folder, the present one."""
    found = []
    for place, argument in enumerate(arguments):
        if argument.startswith('"'):
            folder = arguments[place - 1] if place else "AT_FDCWD"
            found += ["AT_FDCWD" if folder.startswith('"') else folder, argument]
    return found
