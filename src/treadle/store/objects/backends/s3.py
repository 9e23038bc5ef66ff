"""Objects in an S3 bucket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import obstore

from treadle.core.errors import NotFound
from treadle.store.places import Place
from treadle.store.s3 import speaking, store_of

_BLOCK = 8 * 1024 * 1024


class Backend:
    """A bucket, or what stands under a prefix in one."""

    def __init__(self, place: Place, *, options: Mapping[str, str]) -> None:
        self.shown = place.url
        self._store = store_of(place, options=options)

    def put(self, key: str, data: bytes) -> None:
        """Store bytes in one step, durably, also over what is there."""
        with speaking("objects", self.shown):
            obstore.put(self._store, key, data)

    def put_file(self, key: str, path: Path) -> None:
        """Store a local file's content in one step, durably, also over what is there."""
        with speaking("objects", self.shown):
            obstore.put(self._store, key, path)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content in blocks; `NotFound` before the first where there is none."""
        with speaking("objects", self.shown):
            for block in obstore.get(self._store, key).stream(min_chunk_size=_BLOCK):
                yield bytes(block)

    def exists(self, key: str) -> bool:
        """Return whether there is content under the key."""
        try:
            with speaking("objects", self.shown):
                obstore.head(self._store, key)
        except NotFound:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove the content; nothing happens where there is none."""
        with speaking("objects", self.shown):
            obstore.delete(self._store, key)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the key and the size in bytes of each file whose key begins with the folders `prefix`, in no order."""
        with speaking("objects", self.shown):
            for page in obstore.list(self._store, prefix=prefix):
                for found in page:
                    yield found["path"], found["size"]
