"""The contents of many files, found by their BLAKE3 digest: where they are kept, and how they get in and out.

They live beside the other objects, under `trees/`. BLAKE3 and not SHA-256 because here the hash is most of the work:
it resists collisions as well and is several times as fast, on processors without SHA instructions ten times.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from treadle.core import plugins
from treadle.core.errors import DigestMismatch, InvalidInput, NotFound
from treadle.core.optional import require
from treadle.store.places import place_of

#: The folder of the keys, and how each begins.
PREFIX = "trees"
#: Bytes of a digest.
DIGEST = 32

Bytes: TypeAlias = bytes | bytearray | memoryview
#: How a file and its content are one: sharing blocks until one is written to, being the same file, or each for itself.
Way = Literal["clone", "link", "copy"]


class Contents(Protocol):
    """A store of contents.

    Every verb raises `StoreUnavailable`, `StoreFull` or `StoreReadOnly` where the place fails. Contents that were put
    are certain to survive a power cut only after `flush`.
    """

    #: The place, for messages.
    shown: str
    #: How many threads may use it at once with profit.
    workers: int

    def put(self, digest: bytes, data: Bytes) -> None:
        """Store a content, also over what is there: what is there may be the rest of a killed writer."""
        ...

    def adopt(self, digest: bytes, file: int, place: str, *, way: Way) -> Way | None:
        """Store the content of an open file (at `place`) without copying it; None: that cannot be done, so `put` it.

        Whether it was linked its number of names tells: another file may be at the place by now.
        """
        ...

    def read(self, digest: bytes) -> bytes:
        """Return a content, checked: `NotFound`, or `DigestMismatch` where it is damaged."""
        ...

    def sound(self, digest: bytes, size: int) -> bool:
        """Return whether the content is there, as far as can be told without reading it."""
        ...

    def ways(self, folder: Path) -> tuple[Way, ...]:
        """Return how contents can become files of a folder, the best way first."""
        ...

    def lend(
        self, digest: bytes, size: int, *, name: str, folder: int, way: Way, mode: int
    ) -> os.stat_result:
        """Make a new file of an open folder out of a content, in the given way: `FileExistsError` where there is one.

        What the folder's file system says is raised as it is.
        """
        ...

    def delete(self, digest: bytes) -> None:
        """Remove a content; nothing happens where there is none."""
        ...

    def list(self) -> Iterator[tuple[bytes, int]]:
        """Yield the digest and the size in bytes of each content, in no order."""
        ...

    def sweep(self) -> None:
        """Remove what killed writers left, where that cannot be somebody's present work."""
        ...

    def flush(self) -> None:
        """Wait until all that was put is on the disk."""
        ...


def open_contents(url: str, *, root: Path, options: Mapping[str, str]) -> Contents:
    """Use the contents at an object store's URL; nothing is read or written yet.

    Raises:
        NotFound: no back end knows this kind of URL.
    """
    from treadle.store.objects.folder_contents import FolderContents
    from treadle.store.objects.remote_contents import RemoteContents

    place = place_of(url, root=root)
    if place.kind == "folder":
        return FolderContents(place.path)
    backend = plugins.load("objects", place.kind).Backend(place, options=options)
    return RemoteContents(backend)


@cache
def hasher() -> Callable[..., Any]:
    """Return the hash: called with bytes, it gives an object with `update` and `digest`.

    Raises:
        MissingExtra: its library is not installed.
    """
    found: Callable[..., Any] = require("blake3", extra="trees").blake3
    return found


def digest_of(data: Bytes) -> bytes:
    """Return the digest of a content.

    >>> digest_of(b"").hex()[:16]
    'af1349b9f5f9a1a6'
    """
    digest: bytes = hasher()(data).digest()
    return digest


def shown(digest: bytes) -> str:
    """Return a digest as text: `blake3:` and 64 hexadecimal digits."""
    return f"blake3:{digest.hex()}"


def parsed(text: str) -> bytes:
    """Return the digest that `shown` wrote.

    Raises:
        InvalidInput: the text is none.
    """
    kind, _, digits = text.partition(":")
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        digest = b""
    if kind != "blake3" or len(digest) != DIGEST:
        msg = f"{text!r} is not a digest. Expected 'blake3:' and 64 hexadecimal digits."
        raise InvalidInput(msg)
    return digest


def of_key(key: str) -> bytes | None:
    """Return the digest in a key, or None where the key is none of ours."""
    name = key.rpartition("/")[2]
    try:
        return bytes.fromhex(name) if len(name) == 2 * DIGEST else None
    except ValueError:
        return None


def checked(digest: bytes, data: bytes, *, place: str) -> bytes:
    """Return bytes that have a digest.

    Raises:
        DigestMismatch: they have another one.
    """
    if digest_of(data) != digest:
        raise damaged(digest, place)
    return data


def damaged(digest: bytes, place: str) -> DigestMismatch:
    """Return the error for stored bytes that have another digest."""
    return DigestMismatch(
        f"The content {shown(digest)} in {place} is damaged: its bytes have another digest. Store it again from its "
        "folder with `treadle trees add NAME --rehash`, or put back a backup."
    )


def absent(digest: bytes, place: str) -> NotFound:
    """Return the error for a content that is not there."""
    return NotFound(f"There is no content {shown(digest)} in {place}.")
