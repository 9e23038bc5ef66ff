"""Checking out: a version's files in a folder of the user's, touching only what differs and what a checkout put there."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from treadle.core.errors import AlreadyExists, Busy, InvalidInput, SourceUnreadable, StoreFull
from treadle.core.progress import Progress
from treadle.core.records import Record
from treadle.data.tree import index as indices
from treadle.data.tree.index import PLANNED, Index, Put
from treadle.data.tree.manifest import Entry
from treadle.data.tree.placing import Placing
from treadle.data.tree.scan import INDEX, shown
from treadle.store.files import flush_disk, is_part, make_folder
from treadle.store.objects.contents import Contents, Way, hasher

Mode = Literal["auto", "clone", "link", "copy"]
_SHOWN = 5
_BLOCK = 2**20


class Checkout(Record, frozen=True, kw_only=True):
    """What a checkout did."""

    tree: str
    version: int
    folder: str
    #: How files and store are one: `clone` (sharing blocks until written to), `link` (the same, read-only), or `copy`.
    mode: str
    #: Files of the version; of them, those that were written, and those that were there already.
    files: int
    written: int
    kept: int
    #: Files of an earlier checkout that the version lacks and that were taken away.
    removed: int
    #: Files in the folder that no checkout put there, or that were changed since; they were not touched.
    left: int


@dataclass
class _Plan:
    kept: list[Put] = field(default_factory=list)
    put: list[Entry] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    #: Folders where files are to be.
    folders: list[str] = field(default_factory=list)
    left: int = 0
    conflicts: list[str] = field(default_factory=list)


def check_out(
    entries: Sequence[Entry],
    *,
    tree: str,
    version: int,
    to: Path,
    contents: Contents,
    mode: Mode,
    overwrite: bool,
    progress: Progress,
) -> Checkout:
    """Bring a folder to a version; see `Trees.checkout`."""
    with _failures(to), _locked(to) as folder:
        root = to.resolve()
        old = indices.load(root)
        there = _there(root)
        plan = _planned(entries, there, old, root=root, overwrite=overwrite)
        if plan.conflicts:
            raise _conflicting(plan.conflicts, root)
        way = _chosen(mode, contents.ways(root), root)
        files = plan.kept
        if plan.put or plan.removed or old is None:
            placing = Placing(folder, contents, way=way)
            files = _carried_out(plan, placing, old, folder=folder, progress=progress)
        if old is None or (tree, version, files) != (old.tree, old.version, old.files):
            if way != "link" or any(entry.parts or entry.executable for entry in plan.put):
                flush_disk(root)
            indices.save(Index(tree=tree, version=version, files=files), folder=folder)
    return Checkout(
        tree=tree,
        version=version,
        folder=str(root),
        mode=way,
        files=len(entries),
        written=len(plan.put),
        kept=len(entries) - len(plan.put),
        removed=len(plan.removed),
        left=plan.left,
    )


def _carried_out(
    plan: _Plan, placing: Placing, old: Index | None, *, folder: int, progress: Progress
) -> list[Put]:
    """Take away, put, and return what is there then. The index says beforehand what is meant to come."""
    meant = [
        Put(entry.path, entry.digest, entry.executable, entry.size, PLANNED, PLANNED) for entry in plan.put
    ]
    indices.save(Index(files=[*(old.files if old else ()), *meant]), folder=folder)
    placing.remove(plan.removed, folders=plan.folders)
    files = list(plan.kept)
    if plan.put:
        progress.step(f"check out {len(plan.put):,} files")
    for put in placing.put(plan.put, over=plan.over, told=lambda done: progress.advance(done, len(plan.put))):
        files += put
    return sorted(files, key=lambda file: file.path)


def _planned(
    entries: Sequence[Entry],
    there: Mapping[str, os.stat_result],
    old: Index | None,
    *,
    root: Path,
    overwrite: bool,
) -> _Plan:
    if not there:
        return _Plan(put=list(entries))
    plan, ours = _Plan(), old.by_path() if old else {}
    wanted = {entry.path for entry in entries}
    for path, state in there.items():
        if path in wanted:
            continue
        if old is not None and _is_ours(path, state, ours.get(path, ()), root):
            plan.removed.append(path)
        elif not stat.S_ISDIR(state.st_mode):
            plan.left += 1
    gone = set(plan.removed)
    for entry in entries:
        blocker = _blocker(entry.path, there, gone)
        found = there.get(entry.path)
        if blocker:
            plan.conflicts.append(f"{blocker} is there and is no folder")
        elif found is None:
            plan.put.append(entry)
        elif stat.S_ISDIR(found.st_mode):
            below = [path for path in there if path.startswith(f"{entry.path}/")]
            if any(not stat.S_ISDIR(there[path].st_mode) and path not in gone for path in below):
                plan.conflicts.append(f"{entry.path} is a folder that holds something else")
            plan.folders += [entry.path, *(path for path in below if path not in gone)]
            plan.put.append(entry)
        else:
            _decide(plan, entry, found, ours.get(entry.path, ()), root=root, overwrite=overwrite)
    return plan


def _decide(
    plan: _Plan, entry: Entry, state: os.stat_result, ours: Sequence[Put], *, root: Path, overwrite: bool
) -> None:
    """Say what becomes of a file that is where one of the version's is to be."""
    known = next((put for put in ours if put.is_at(state)), None)
    digest = known.digest if known else _hashed(root / entry.path, state)
    is_ours = known is not None or digest in {put.digest for put in ours if put.mtime_ns == PLANNED}
    is_same = digest == entry.digest and bool(state.st_mode & stat.S_IXUSR) == entry.executable
    if is_same:
        if is_ours:
            plan.kept.append(_noted(entry, state))
        return
    if is_ours or overwrite:
        plan.put.append(entry)
        plan.over.add(entry.path)
    else:
        plan.conflicts.append(f"{entry.path} is there and differs")


def _noted(entry: Entry, state: os.stat_result) -> Put:
    return Put(entry.path, entry.digest, entry.executable, state.st_size, state.st_mtime_ns, state.st_ino)


def _is_ours(path: str, state: os.stat_result, ours: Sequence[Put], root: Path) -> bool:
    """Return whether a checkout put a file there and nobody has changed it."""
    if not stat.S_ISREG(state.st_mode):
        return False
    if is_part(Path(path)) or any(put.is_at(state) for put in ours):
        return True
    planned = {put.digest for put in ours if put.mtime_ns == PLANNED}
    return bool(planned) and _hashed(root / path, state) in planned


def _blocker(path: str, there: Mapping[str, os.stat_result], gone: set[str]) -> str:
    """Return what stands where a folder is needed, or nothing."""
    end = path.rfind("/")
    while end > 0:
        above = path[:end]
        state = there.get(above)
        if state and not stat.S_ISDIR(state.st_mode) and above not in gone:
            return above
        end = path.rfind("/", 0, end)
    return ""


def _hashed(path: Path, state: os.stat_result) -> bytes:
    """Return the digest of a file; nothing where it is none."""
    if not stat.S_ISREG(state.st_mode):
        return b""
    found = hasher()()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    digest: bytes = found.digest()
    return digest


def _there(root: Path) -> dict[str, os.stat_result]:
    """Return everything below a folder, folders too, without following symbolic links."""
    found: dict[str, os.stat_result] = {}
    todo = [("", str(root))]
    while todo:
        prefix, folder = todo.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if path == INDEX:
                    continue
                found[path] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    todo.append((f"{path}/", entry.path))
    return found


def _chosen(mode: Mode, ways: Sequence[Way], root: Path) -> Way:
    if mode == "auto":
        return ways[0]
    if mode not in ways:
        msg = (
            f"Files cannot be checked out to {root} by mode {mode!r}: the store and this folder allow {', '.join(ways)}. "
            "Take one of these, or 'auto'."
        )
        raise InvalidInput(msg, field="mode")
    return mode


@contextmanager
def _locked(to: Path) -> Iterator[int]:
    """Make and open a folder, and keep other checkouts out of it; the lock ends with this process."""
    make_folder(to)
    handle = os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"Another process is checking out to {to}. Wait for it to end, and repeat the command."
            raise Busy(msg) from error
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _failures(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            msg = f"No space is left in {to}. Free some and repeat the command: it goes on where it stopped."
            raise StoreFull(msg) from error
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
            place = shown(os.fspath(error.filename or to))
            msg = f"Something came into {to} during the checkout, and it is not overwritten: {place}. Repeat the command."
            raise AlreadyExists(msg) from error
        msg = f"The folder {to} cannot be brought to the version: {error}. See to its rights and its disk, and repeat."
        raise SourceUnreadable(msg) from error


def _conflicting(conflicts: Sequence[str], root: Path) -> AlreadyExists:
    some = "; ".join(conflicts[:_SHOWN])
    more = f"; and {len(conflicts) - _SHOWN:,} more" if len(conflicts) > _SHOWN else ""
    return AlreadyExists(
        f"The folder {root} holds what no checkout put there: {some}{more}. Nothing was touched. Take another folder, or "
        "let files be overwritten: treadle trees checkout --overwrite"
    )
