"""What an object back end must bring: six verbs on keys, and no knowledge of digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from treadle.store.places import Place


class Backend(Protocol):
    """A place that holds immutable files by key: class `Backend` of a plug-in module of kind `objects`.

    Every verb raises `StoreUnavailable`, `StoreFull` or `StoreReadOnly` where the place fails.
    """

    #: The place, for messages.
    shown: str

    def __init__(self, place: Place, *, options: Mapping[str, str]) -> None: ...

    def put(self, key: str, data: bytes) -> None:
        """Store bytes in one step, durably, also over what is there."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Store a local file's content in one step, durably, also over what is there."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content in blocks; `NotFound` before the first where there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is content under the key."""
        ...

    def delete(self, key: str) -> None:
        """Remove the content; nothing happens where there is none."""
        ...

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the key and the size in bytes of each file whose key begins with the folders `prefix`, in no order."""
        ...
