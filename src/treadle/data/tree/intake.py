"""Taking files in: read once, hashed, and stored where the store does not hold them yet.

A file is read between two looks at its size and time of change; where they differ it is read again, and is a problem in
the end: a version never holds half of a writer's work without saying so.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

from treadle.data.tree.scan import Problem, shown, stamp_of
from treadle.data.tree.stat_cache import Row, settled
from treadle.store.objects.contents import DIGEST, Bytes, Contents, Way, digest_of, hasher

#: Larger files are kept in pieces of `PIECE` bytes, so that a file that grows at its end stores only its end again.
WHOLE, PIECE = 32 * 2**20, 4 * 2**20
#: Bytes that are read of a stream at once.
_AT_ONCE = 2**20
_TRIES = 3
_BATCH = 64
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Wanted(NamedTuple):
    """A file to be read: its path, where its content is, and whether it changed so lately that a writer may be at it."""

    path: str
    place: str
    fresh: bool = False


class Taken(NamedTuple):
    """What became of a file: it was taken, is a problem, or (neither) has gone meanwhile."""

    path: str
    row: Row | None = None
    problem: Problem | None = None


class _Changed(Exception):
    """A file changed while it was read."""


class Intake:
    """Reads files, and stores what is not held yet; without a store they are only hashed."""

    def __init__(
        self, contents: Contents | None, *, held: set[bytes], before: int, link: bool, workers: int
    ) -> None:
        """Take the store, the digests it certainly holds, and what `settled` and `Wanted.fresh` mean by lately."""
        self._contents = contents
        self._held = held
        self._before = before
        self._way: Way = "link" if link else "clone"
        self._workers = workers
        self._lock = threading.Lock()
        self._local = threading.local()
        self._hash = hasher()
        #: Bytes that were stored.
        self.stored = 0

    def take(self, wanted: Sequence[Wanted], told: Callable[[int], None]) -> Iterator[list[Taken]]:
        """Yield what became of files, some at a time, in no order; `told` is called with how many are done."""
        batches = [wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH)]
        done = 0
        with ThreadPoolExecutor(self._workers) as pool:
            waiting = [pool.submit(self._batch, batch) for batch in batches]
            try:
                for future in as_completed(waiting):
                    found = future.result()
                    done += len(found)
                    told(done)
                    yield found
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def stream(self, read: Callable[[int], bytes], size: int) -> tuple[bytes, bytes]:
        """Take in a content of so many bytes from whatever reads them; return its digest, and that of the list of its pieces.

        Raises:
            EOFError: there are fewer.
        """
        if size <= WHOLE:
            return self._stored(_exactly(read, size)), b""
        whole, parts = self._hash(), bytearray()
        for start in range(0, size, PIECE):
            piece = _exactly(read, min(PIECE, size - start))
            whole.update(piece)
            parts += self._stored(piece)
        return self._whole_of(whole.digest(), parts)

    def hold(self, digests: Iterable[bytes]) -> None:
        """Note that the store holds contents."""
        self._held.update(digests)

    def _batch(self, wanted: Sequence[Wanted]) -> list[Taken]:
        return [self._one(file) for file in wanted]

    def _one(self, wanted: Wanted) -> Taken:
        for _ in range(_TRIES):
            try:
                return self._read(wanted)
            except _Changed:
                continue
            except FileNotFoundError:
                return Taken(wanted.path)
            except OSError as error:
                return _problem(wanted, f"it cannot be read ({error.strerror})", passing=True)
        return _problem(wanted, "it changes while it is read; it is tried again next time", passing=True)

    def _read(self, wanted: Wanted) -> Taken:
        file = os.open(wanted.place, _OPEN)
        try:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                return _problem(wanted, "it is no longer a file")
            if state.st_size > WHOLE:
                digest, parts = self._pieces(file, state.st_size)
                linked, after = False, _unchanged(file, state)
            else:
                parts = b""
                digest, linked, after = self._whole(file, state, wanted)
        finally:
            os.close(file)
        stamp = settled(stamp_of(after), before=self._before)
        return Taken(wanted.path, Row(stamp, digest, parts, linked))

    def _whole(self, file: int, state: os.stat_result, wanted: Wanted) -> tuple[bytes, bool, os.stat_result]:
        """Return the digest of a content that is kept whole, whether it was linked, and the file's state afterwards."""
        data = self._all(file, state.st_size)
        digest: bytes = self._hash(data).digest()
        if not self._claim(digest):
            return digest, False, _unchanged(file, state)
        assert self._contents is not None
        way = "clone" if wanted.fresh or state.st_mode & stat.S_IXUSR else self._way
        adopted = self._contents.adopt(digest, file, wanted.place, way=way)
        if adopted is None:
            self._contents.put(digest, data)
            after = _unchanged(file, state)
        else:
            try:
                after = _unchanged(file, state, names=1 if adopted == "link" else 0)
            except _Changed:
                # What was adopted is not what was hashed.
                self._contents.put(digest, data)
                raise
        self._count(len(data))
        return digest, adopted == "link", after

    def _all(self, file: int, size: int) -> memoryview:
        """Read a file's bytes into this thread's buffer, which the next file takes."""
        buffer = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) <= size:
            buffer = self._local.buffer = bytearray(max(size + 1, 2**20))
        view = memoryview(buffer)
        done = os.readv(file, [view])
        while 0 < done < size and (more := os.readv(file, [view[done:]])):
            done += more
        if done != size:
            raise _Changed
        return view[:size]

    def _pieces(self, file: int, size: int) -> tuple[bytes, bytes]:
        """Return the digest of a large content, and that of the list of its pieces."""
        whole, parts, done = self._hash(), bytearray(), 0
        while done < size:
            piece = self._piece(file, min(PIECE, size - done))
            whole.update(piece)
            parts += self._stored(piece)
            done += len(piece)
        return self._whole_of(whole.digest(), parts)

    def _whole_of(self, digest: bytes, parts: bytearray) -> tuple[bytes, bytes]:
        """Return the digest of a content whose pieces are all held, and that of their list."""
        found = digest, self._stored(bytes(parts))
        if self._contents is not None:
            with self._lock:
                self._held.add(digest)
        return found

    def _piece(self, file: int, size: int) -> memoryview:
        buffer = getattr(self._local, "piece", None)
        if buffer is None:
            buffer = self._local.piece = bytearray(PIECE)
        view, done = memoryview(buffer)[:size], 0
        while done < size:
            more = os.readv(file, [view[done:]])
            if not more:
                raise _Changed
            done += more
        return view

    def _stored(self, data: Bytes) -> bytes:
        digest = digest_of(data)
        if self._claim(digest):
            assert self._contents is not None
            self._contents.put(digest, data)
            self._count(len(data))
        return digest

    def _claim(self, digest: bytes) -> bool:
        """Return whether it falls to this thread to store a content."""
        if self._contents is None:
            return False
        with self._lock:
            if digest in self._held:
                return False
            self._held.add(digest)
            return True

    def _count(self, size: int) -> None:
        with self._lock:
            self.stored += size


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    pieces, left = [], size
    while left:
        piece = read(min(left, _AT_ONCE))
        if not piece:
            msg = f"{left:,} bytes are missing at its end"
            raise EOFError(msg)
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _unchanged(file: int, before: os.stat_result, *, names: int = 0) -> os.stat_result:
    """Return an open file's state, which must be what it was but for `names` that it got since."""
    after = os.fstat(file)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise _Changed
    if after.st_nlink < before.st_nlink + names:
        raise _Changed
    return after


def split(parts: bytes) -> list[bytes]:
    """Return the digests in a list of pieces."""
    return [parts[start : start + DIGEST] for start in range(0, len(parts), DIGEST)]


def _problem(wanted: Wanted, reason: str, *, passing: bool = False) -> Taken:
    return Taken(wanted.path, problem=Problem(shown(wanted.path), reason, passing))
