"""Placing files into a folder, each in one step, without following any symbolic link below it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from itertools import groupby

from treadle.data.tree.index import Put
from treadle.data.tree.intake import split
from treadle.data.tree.manifest import Entry
from treadle.store.files import part_name
from treadle.store.objects.contents import Contents, Way

_BATCH = 128
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE, _PROGRAM = 0o666, 0o777
#: Why one content cannot be linked though others can: it has as many names as a file can have, or is somebody else's.
_CANNOT_LINK = {errno.EMLINK, errno.EPERM}


class Placing:
    """Puts files into an open folder, or takes them out."""

    def __init__(self, folder: int, contents: Contents, *, way: Way) -> None:
        self._folder, self._contents, self._way = folder, contents, way

    def put(
        self, entries: Sequence[Entry], *, over: set[str], told: Callable[[int], None]
    ) -> Iterator[list[Put]]:
        """Place files, many at once, and yield what was placed; at the paths `over` something is there to be replaced."""
        jobs = []
        for folder, there in groupby(entries, key=lambda entry: _above(entry.path)):
            files = list(there)
            jobs += [(folder, files[start : start + _BATCH]) for start in range(0, len(files), _BATCH)]
        done = 0
        with ThreadPoolExecutor(self._contents.workers) as pool:
            waiting = [pool.submit(self._several, folder, files, over) for folder, files in jobs]
            try:
                for future in as_completed(waiting):
                    found = future.result()
                    done += len(found)
                    told(done)
                    yield found
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def remove(self, paths: Sequence[str], *, folders: Sequence[str]) -> None:
        """Take files out, and these and their own folders where they are empty then."""
        for folder, there in groupby(sorted(paths), key=_above):
            with suppress(FileNotFoundError), self._entered(folder, make=False) as handle:
                for path in there:
                    with suppress(FileNotFoundError):
                        os.unlink(path.rpartition("/")[2], dir_fd=handle)
        empty, above = set(folders), {_above(path) for path in paths} - {""}
        while above:
            empty |= above
            above = {_above(path) for path in above} - {""}
        for path in sorted(empty, key=len, reverse=True):
            with suppress(OSError), self._entered(_above(path), make=False) as handle:
                os.rmdir(path.rpartition("/")[2], dir_fd=handle)

    def _several(self, folder: str, entries: Sequence[Entry], over: set[str]) -> list[Put]:
        with self._entered(folder, make=True) as handle:
            return [self._one(entry, handle, over=entry.path in over) for entry in entries]

    def _one(self, entry: Entry, folder: int, *, over: bool) -> Put:
        name = entry.path.rpartition("/")[2]
        links = self._way == "link" and not entry.executable and not entry.parts
        try:
            if links and not over:
                # A link is there at once, without a name of its own before.
                state = self._lend(entry, name, folder, "link")
            else:
                state = self._renamed(
                    entry, name, folder, self._way if links or self._way != "link" else "copy"
                )
        except OSError as error:
            if not links or error.errno not in _CANNOT_LINK:
                raise
            state = self._renamed(entry, name, folder, "copy")
        return Put(entry.path, entry.digest, entry.executable, state.st_size, state.st_mtime_ns, state.st_ino)

    def _renamed(self, entry: Entry, name: str, folder: int, way: Way) -> os.stat_result:
        """Make a file under another name first, so that it is there as a whole or not at all."""
        part = part_name()
        try:
            state = self._lend(entry, part, folder, way)
            os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            # Also after a renaming over another name of the same file, which does nothing at all.
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
        return state

    def _lend(self, entry: Entry, name: str, folder: int, way: Way) -> os.stat_result:
        if entry.parts:
            return self._joined(entry, name, folder)
        mode = _PROGRAM if entry.executable else _FILE
        return self._contents.lend(entry.digest, entry.size, name=name, folder=folder, way=way, mode=mode)

    def _joined(self, entry: Entry, name: str, folder: int) -> os.stat_result:
        handle = os.open(name, _NEW, _PROGRAM if entry.executable else _FILE, dir_fd=folder)
        with os.fdopen(handle, "wb") as file:
            for piece in split(self._contents.read(entry.parts)):
                file.write(self._contents.read(piece))
            file.flush()
            return os.fstat(handle)

    @contextmanager
    def _entered(self, folder: str, *, make: bool) -> Iterator[int]:
        """Open a folder below, part by part, so that no symbolic link can lead elsewhere."""
        handle = os.dup(self._folder)
        try:
            for name in folder.split("/") if folder else ():
                inner = self._inner(handle, name, make=make)
                os.close(handle)
                handle = inner
            yield handle
        finally:
            os.close(handle)

    def _inner(self, handle: int, name: str, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=handle)
        except FileNotFoundError:
            if not make:
                raise
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=handle)
        return os.open(name, _FOLDER, dir_fd=handle)


def _above(path: str) -> str:
    return path.rpartition("/")[0]
