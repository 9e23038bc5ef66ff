"""Immutable files, found by the digest of their content.

The digest is checked whenever bytes are read, so a damaged object is never handed out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from treadle.core import plugins
from treadle.core.errors import DigestMismatch, InvalidInput
from treadle.core.ids import digest_of_bytes
from treadle.store.failures import of_os_error
from treadle.store.files import replacing
from treadle.store.objects.backend import Backend
from treadle.store.places import place_of

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Objects:
    """A store of immutable files.

    >>> digest = objects.put(b"hello")                                      # doctest: +SKIP
    >>> objects.get(digest)                                                 # doctest: +SKIP
    b'hello'
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def open(cls, url: str, *, root: Path, options: Mapping[str, str]) -> Objects:
        """Use the store at a folder (relative to `root`) or at `s3://bucket/prefix`.

        `options` are the `AWS_*` settings (`core.settings.aws_options`). Nothing is read or written yet.

        Raises:
            NotFound: no back end knows this kind of URL.
        """
        place = place_of(url, root=root)
        return cls(plugins.load("objects", place.kind).Backend(place, options=options))

    def put(self, data: bytes) -> str:
        """Store bytes and return their digest, `sha256:…`; storing the same bytes again changes nothing.

        Raises:
            StoreUnavailable: they could not be stored; nothing half-written is ever visible.
        """
        digest = digest_of_bytes(data)
        self._backend.put(_key(digest), data)
        return digest

    def put_file(self, path: Path) -> str:
        """Store a file's content and return its digest.

        Raises:
            StoreUnavailable: it could not be stored.
        """
        with path.open("rb") as file:
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        self._backend.put_file(_key(digest), path)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest.

        Raises:
            NotFound: there is no such object.
            DigestMismatch: the stored bytes are damaged.
        """
        data = b"".join(self._backend.read(_key(digest)))
        if digest_of_bytes(data) != digest:
            raise _damaged(digest, self._backend.shown)
        return data

    def fetch(self, digest: str, to: Path) -> Path:
        """Write the object to a local file, in one step, and return its path.

        Raises:
            NotFound: there is no such object.
            DigestMismatch: the stored bytes are damaged; the file is not made.
            StoreFull: no space is left where the file is to be.
        """
        found = hashlib.sha256()
        try:
            with replacing(to) as file:
                for block in self._backend.read(_key(digest)):
                    found.update(block)
                    file.write(block)
                if f"sha256:{found.hexdigest()}" != digest:
                    raise _damaged(digest, self._backend.shown)
        except OSError as error:
            raise of_os_error(error, store="objects", place=str(to.parent)) from error
        return to

    def exists(self, digest: str) -> bool:
        """Return whether there is an object of this digest; its bytes are not checked."""
        return self._backend.exists(_key(digest))

    def delete(self, digest: str) -> None:
        """Remove an object; nothing happens where there is none."""
        self._backend.delete(_key(digest))

    def list(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and the size in bytes of each object, in no order."""
        for key, size in self._backend.list("sha256"):
            digest = f"sha256:{key.rpartition('/')[2]}"
            if _DIGEST.fullmatch(digest):
                yield digest, size


def _key(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        msg = f"{digest!r} is not a digest. Expected 'sha256:' and 64 hexadecimal digits."
        raise InvalidInput(msg)
    name = digest.removeprefix("sha256:")
    return f"sha256/{name[:2]}/{name}"


def _damaged(digest: str, place: str) -> DigestMismatch:
    return DigestMismatch(
        f"The object {digest} in {place} is damaged: its bytes have another digest. Delete it and make it again, "
        "or put back a backup."
    )
