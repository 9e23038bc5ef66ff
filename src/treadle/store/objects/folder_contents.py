"""Contents in a folder: files of their own, which others can be cloned from or linked to.

A whole content is *sealed*: nobody may write to it, and its time of change is one moment long past. Whoever writes
into it all the same, as root can through a hard link, breaks the seal, and a content without a seal is hashed before it
is lent. A file that was linked in keeps its own time and so has no seal.
"""
# ruff: noqa: PTH103, PTH104, PTH108, PTH112, PTH116 - making a Path of each text takes as long as what is done with it.

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from treadle.core.clock import SystemClock
from treadle.core.errors import StoreUnavailable
from treadle.store.failures import of_os_error
from treadle.store.files import clone, flush_disk, is_part, make_folder, part_name
from treadle.store.objects.contents import PREFIX, Bytes, Way, absent, checked, damaged, digest_of, of_key

#: The time of change of a sealed content, in nanoseconds: 2001-09-09T01:46:40Z, a round number.
SEAL = 1_000_000_000 * 10**9
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_SEALED, _WRITABLE = 0o444, 0o222
#: Why a file cannot be linked into the store: another file system, too many links, not ours to link or to protect.
_CANNOT_LINK = {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.EOPNOTSUPP}
#: Seconds after which an unfinished file belongs to nobody.
_ABANDONED = 3600


class FolderContents:
    """Contents in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.shown = str(folder)
        self.workers = min(4, os.cpu_count() or 1)
        self._root = f"{folder}/{PREFIX}"
        self._can_clone = True

    def put(self, digest: bytes, data: Bytes) -> None:
        """Store a content, also over what is there."""
        path = self._path(digest)
        with self._failures():
            try:
                file = self._opened(path)
            except FileExistsError:
                part = f"{path.rpartition('/')[0]}/{part_name()}"
                with _removed_on_error(part):
                    _fill(os.open(part, _NEW, _SEALED), data)
                    os.rename(part, path)
            else:
                _fill(file, data)

    def adopt(self, digest: bytes, file: int, place: str, *, way: Way) -> Way | None:
        """Clone an open file into the store, or link it; not over what is there, which may be needed."""
        try:
            if self._can_clone:
                if self._clone_in(digest, file):
                    return "clone"
                self._can_clone = False
            if way == "link" and self._link_in(digest, file, place):
                return "link"
        except FileExistsError:
            return None
        except OSError as error:
            raise self._failure(error) from error
        return None

    def read(self, digest: bytes) -> bytes:
        """Return a content, checked."""
        with self._failures():
            try:
                data = Path(self._path(digest)).read_bytes()
            except FileNotFoundError as error:
                raise absent(digest, self.shown) from error
        return checked(digest, data, place=self.shown)

    def sound(self, digest: bytes, size: int) -> bool:
        """Return whether the content is there and sealed, or else has its digest."""
        try:
            state = os.stat(self._path(digest))
            return _is_sealed(state, size) or self._is_whole(digest)
        except FileNotFoundError:
            return False

    def ways(self, folder: Path) -> tuple[Way, ...]:
        """Return how contents can become files of a folder, found by trying."""
        with self._failures():
            make_folder(Path(self._root))
            with _scratch(self._root) as source, _scratch(str(folder)) as target:
                os.write(source, b"x")
                clones = clone(source, target)
                links = os.fstat(source).st_dev == os.fstat(target).st_dev
        found: list[Way] = [*(["clone"] if clones else []), *(["link"] if links else [])]  # type: ignore[list-item]
        return (*found, "copy")

    def lend(
        self, digest: bytes, size: int, *, name: str, folder: int, way: Way, mode: int
    ) -> os.stat_result:
        """Make a new file of an open folder out of a content."""
        path = self._path(digest)
        try:
            state = os.stat(path)
        except FileNotFoundError as error:
            raise absent(digest, self.shown) from error
        if not _is_sealed(state, size) and not self._is_whole(digest):
            raise damaged(digest, self.shown)
        if way == "link":
            os.link(path, name, dst_dir_fd=folder)
            return state
        target = os.open(name, _NEW, mode, dir_fd=folder)
        try:
            return self._copied(path, digest, target=target, way=way)
        finally:
            os.close(target)

    def delete(self, digest: bytes) -> None:
        """Remove a content; nothing happens where there is none."""
        with self._failures(), suppress(FileNotFoundError):
            os.unlink(self._path(digest))

    def list(self) -> Iterator[tuple[bytes, int]]:
        """Yield the digest and the size in bytes of each content, in no order."""
        with self._failures():
            for entry in self._entries():
                digest = of_key(entry.name)
                if digest is not None:
                    yield digest, entry.stat(follow_symlinks=False).st_size

    def sweep(self) -> None:
        """Remove unfinished files that nobody has touched for an hour."""
        before = SystemClock().now().timestamp() - _ABANDONED
        with self._failures():
            for entry in self._entries():
                if is_part(Path(entry.name)) and entry.stat(follow_symlinks=False).st_ctime < before:
                    os.unlink(entry.path)

    def flush(self) -> None:
        """Wait until all that was put is on the disk."""
        with self._failures():
            make_folder(Path(self._root))
            flush_disk(Path(self._root))

    def _path(self, digest: bytes) -> str:
        name = digest.hex()
        return f"{self._root}/{name[:2]}/{name}"

    def _opened(self, path: str) -> int:
        """Open a new file in the store, whose folder may have to be made."""
        try:
            return os.open(path, _NEW, _SEALED)
        except FileNotFoundError:
            self._make_folder(path)
            return os.open(path, _NEW, _SEALED)

    def _make_folder(self, path: str) -> None:
        """Make the folder of a content; `flush` makes it last."""
        os.makedirs(path.rpartition("/")[0], exist_ok=True)

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        for folder in os.scandir(self._root) if os.path.isdir(self._root) else ():
            yield from os.scandir(folder.path)

    def _clone_in(self, digest: bytes, file: int) -> bool:
        path = self._path(digest)
        part = f"{path.rpartition('/')[0]}/{part_name()}"
        target = self._opened(part)
        try:
            if not clone(file, target):
                return False
            os.utime(target, ns=(SEAL, SEAL))
            os.link(part, path)
        finally:
            os.close(target)
            os.unlink(part)
        return True

    def _link_in(self, digest: bytes, file: int, place: str) -> bool:
        """Make the user's file and the content one file, which nobody may write to from now on."""
        path = self._path(digest)
        try:
            try:
                os.link(place, path)
            except FileNotFoundError:
                self._make_folder(path)
                os.link(place, path)
            os.fchmod(file, _SEALED)
        except OSError as error:
            if error.errno in _CANNOT_LINK:
                return False
            raise
        return True

    def _is_whole(self, digest: bytes) -> bool:
        with self._failures():
            return digest_of(Path(self._path(digest)).read_bytes()) == digest

    def _copied(self, path: str, digest: bytes, *, target: int, way: Way) -> os.stat_result:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if way == "copy" or not clone(source, target):
                _write_all(target, self.read(digest))
        finally:
            os.close(source)
        return os.fstat(target)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> StoreUnavailable:
        return of_os_error(error, store="objects", place=self.shown)


def _is_sealed(state: os.stat_result, size: int) -> bool:
    return state.st_mtime_ns == SEAL and state.st_size == size and not state.st_mode & _WRITABLE


def _fill(file: int, data: Bytes) -> None:
    """Write a content to a new file and seal it; where that fails the file is left empty and without a seal."""
    try:
        try:
            _write_all(file, data)
            os.utime(file, ns=(SEAL, SEAL))
        except OSError:
            # Its name may be another writer's by now, but its blocks are ours to give back.
            os.ftruncate(file, 0)
            raise
    finally:
        os.close(file)


def _write_all(file: int, data: Bytes) -> None:
    done = os.write(file, data)
    while done < len(data):
        done += os.write(file, memoryview(data)[done:])


@contextmanager
def _removed_on_error(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


@contextmanager
def _scratch(folder: str) -> Iterator[int]:
    """Open a file that is gone again at the end of the block."""
    path = f"{folder}/{part_name()}"
    file = os.open(path, (_NEW & ~os.O_WRONLY) | os.O_RDWR, 0o600)
    try:
        os.unlink(path)
        yield file
    finally:
        os.close(file)
