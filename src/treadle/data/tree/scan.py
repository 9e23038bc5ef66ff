"""Looking through a folder without opening any file: what is there, as the file system tells it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from treadle.core.errors import SourceUnreadable
from treadle.data.tree.declaration import Tree
from treadle.data.tree.patterns import Patterns
from treadle.store.files import is_part

#: What tells, without opening it, whether a file has changed: bytes, times of change of its content and of itself in
#: nanoseconds, inode, whether it can be executed.
Stamp: TypeAlias = tuple[int, int, int, int, bool]
#: The file in which a checkout notes what it has put into a folder.
INDEX = ".treadle-tree"
_ON_THEIR_WAY = (".tmp", ".part")
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Problem(NamedTuple):
    """Why a file, or all files below a folder, cannot be had."""

    path: str
    reason: str
    #: Whether it may be there all the same: then what was known of it stays.
    passing: bool = False


@dataclass(frozen=True)
class Listing:
    """The files of a folder."""

    #: The folder itself, without symbolic links.
    root: str
    files: dict[str, Stamp] = field(default_factory=dict)
    #: Of an archive: its own stamp; what is in it is not known without opening it.
    archive: Stamp | None = None
    #: By path: where the content really is, for symbolic links.
    places: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Scan:
    """One walk through a tree's folder; symbolic links to folders are never walked into."""

    def __init__(self, tree: Tree, root: Path, *, avoid: Collection[Path] = ()) -> None:
        """Take the declaration, the folder, and folders that are not data, such as the project's state."""
        self._root = os.path.realpath(root)
        self._include, self._exclude = Patterns(tree.include), Patterns(tree.exclude)
        self._avoid = {os.path.realpath(path) for path in avoid}
        self._listing = Listing(self._root)
        self._todo = [("", self._root)]

    def run(self) -> Listing:
        """Return what is there.

        Raises:
            SourceUnreadable: the folder itself is not there or cannot be read.
        """
        try:
            os.scandir(self._root).close()
        except OSError as error:
            msg = (
                f"The folder {self._root} cannot be read: {error.strerror}. See whether its disk is mounted and whether you "
                "may read it."
            )
            raise SourceUnreadable(msg) from error
        while self._todo:
            prefix, folder = self._todo.pop()
            try:
                with os.scandir(folder) as entries:
                    self._folder(prefix, entries)
            except FileNotFoundError:
                continue  # gone since its name was read
            except OSError as error:
                self._problem(prefix.removesuffix("/"), _said(error), passing=True)
        return self._listing

    def _folder(self, prefix: str, entries: os._ScandirIterator[str]) -> None:
        files, chooses = self._listing.files, bool(self._include or self._exclude)
        for entry in entries:
            name = entry.name
            if is_passed_over(name):
                continue
            path = prefix + name
            if entry.is_dir(follow_symlinks=False):
                if not self._exclude.match(path) and entry.path not in self._avoid:
                    self._todo.append((f"{path}/", entry.path))
                continue
            if chooses and not self._chosen(path):
                continue
            try:
                state = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not path.isascii() and not _is_text(path):
                self._problem(path, "its name is not UTF-8; rename it")
            elif stat.S_ISREG(state.st_mode):
                files[path] = stamp_of(state)
            else:
                self._other(path, entry.path, state)

    def _chosen(self, path: str) -> bool:
        return (not self._include or self._include.match(path)) and not self._exclude.match(path)

    def _other(self, path: str, place: str, state: os.stat_result) -> None:
        """Follow a symbolic link to a file inside the folder; everything else is a problem."""
        if not stat.S_ISLNK(state.st_mode):
            kind = _KINDS.get(stat.S_IFMT(state.st_mode), "no file")
            self._problem(path, f"it is {kind}; exclude it or take it away")
            return
        real = os.path.realpath(place)
        try:
            target = Path(real).stat()
        except OSError:
            self._problem(path, "it is a symbolic link to what is not there; take it away")
            return
        if not real.startswith(f"{self._root}/"):
            self._problem(
                path, "it is a symbolic link that leaves the folder; put the file itself here, or exclude it"
            )
        elif not stat.S_ISREG(target.st_mode):
            self._problem(path, "it is a symbolic link to a folder; exclude it")
        else:
            self._listing.files[path] = stamp_of(target)
            self._listing.places[path] = real

    def _problem(self, path: str, reason: str, *, passing: bool = False) -> None:
        self._listing.problems.append(Problem(shown(path), reason, passing))


def packed(tree: Tree, root: Path) -> Listing:
    """Return what the file system tells of an archive.

    Raises:
        SourceUnreadable: it is not there, or is no file.
    """
    place = os.path.realpath(root)
    try:
        state = Path(place).stat()
    except OSError as error:
        msg = f"The archive {place} cannot be read: {error.strerror}. See whether it is there and whether you may read it."
        raise SourceUnreadable(msg) from error
    if not stat.S_ISREG(state.st_mode):
        msg = f"{place} is no archive, as the source of tree {tree.name!r} says by its name. Give the folder another name."
        raise SourceUnreadable(msg)
    return Listing(place, archive=stamp_of(state))


def is_passed_over(name: str) -> bool:
    """Whether a file of this name is still being written, or one of Treadle's own."""
    if name.endswith(_ON_THEIR_WAY):
        return True
    return name.startswith(".") and (name == INDEX or is_part(Path(name)))


def stamp_of(state: os.stat_result) -> Stamp:
    """Return the stamp of a file."""
    executable = bool(state.st_mode & stat.S_IXUSR)
    return (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, executable)


def shown(path: str) -> str:
    """Return a path as text that can be printed and stored, whatever bytes its name has."""
    return path if _is_text(path) else os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _said(error: OSError) -> str:
    return f"it cannot be read ({error.strerror})"
