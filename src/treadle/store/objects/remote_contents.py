"""Contents in a bucket, or wherever else objects are kept: many at once, as each takes a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from treadle.core.errors import NotFound
from treadle.store.objects.backend import Backend
from treadle.store.objects.contents import PREFIX, Bytes, Way, absent, checked, of_key

_WORKERS = 16
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class RemoteContents:
    """Contents behind an object back end."""

    def __init__(self, backend: Backend) -> None:
        self.shown = backend.shown
        self.workers = _WORKERS
        self._backend = backend

    def put(self, digest: bytes, data: Bytes) -> None:
        """Store a content, also over what is there."""
        self._backend.put(_key(digest), bytes(data))

    def adopt(self, digest: bytes, file: int, place: str, *, way: Way) -> Way | None:  # noqa: ARG002 - for folders
        """Return None: a bucket shares nothing with a file."""
        return None

    def read(self, digest: bytes) -> bytes:
        """Return a content, checked."""
        try:
            data = b"".join(self._backend.read(_key(digest)))
        except NotFound as error:
            raise absent(digest, self.shown) from error
        return checked(digest, data, place=self.shown)

    def sound(self, digest: bytes, size: int) -> bool:  # noqa: ARG002 - for folders
        """Return whether the content is there; buckets keep what they hold whole."""
        return self._backend.exists(_key(digest))

    def ways(self, folder: Path) -> tuple[Way, ...]:  # noqa: ARG002 - for folders
        """Return that contents can only be copied."""
        return ("copy",)

    def lend(
        self,
        digest: bytes,
        size: int,  # noqa: ARG002 - the digest says more
        *,
        name: str,
        folder: int,
        way: Way,  # noqa: ARG002 - there is one
        mode: int,
    ) -> os.stat_result:
        """Make a new file of an open folder out of a content."""
        data = self.read(digest)
        file = os.open(name, _NEW, mode, dir_fd=folder)
        with os.fdopen(file, "wb") as target:
            target.write(data)
            target.flush()
            return os.fstat(file)

    def delete(self, digest: bytes) -> None:
        """Remove a content; nothing happens where there is none."""
        self._backend.delete(_key(digest))

    def list(self) -> Iterator[tuple[bytes, int]]:
        """Yield the digest and the size in bytes of each content, in no order."""
        for key, size in self._backend.list(PREFIX):
            digest = of_key(key)
            if digest is not None:
                yield digest, size

    def sweep(self) -> None:
        """Do nothing: what a bucket has not taken whole it does not show."""

    def flush(self) -> None:
        """Do nothing: a bucket answers when it has stored."""


def _key(digest: bytes) -> str:
    name = digest.hex()
    return f"{PREFIX}/{name[:2]}/{name}"
