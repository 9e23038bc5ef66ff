"""What is too large to go with a request or an answer: kept by its digest for a while, in a folder of the project."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from treadle.app.wire.values import digest_of
from treadle.core.clock import SystemClock
from treadle.core.errors import DigestMismatch, NotFound, StoreFull

#: Seconds that bytes are kept, and how many of them at most.
_KEPT, _MOST = 3600.0, 8 * 1024**3
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Sent:
    """Bytes on their way, by digest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, data: bytes) -> str:
        """Keep bytes and return their digest."""
        digest = digest_of(data)
        part = self._part()
        part.write_bytes(data)
        part.replace(self._folder / digest)
        return digest

    async def take(self, digest: str, parts: AsyncIterator[bytes]) -> None:
        """Keep bytes that come part by part.

        Raises:
            DigestMismatch: they are others than was said.
        """
        self._path(digest)
        part, found = self._part(), hashlib.sha256()
        try:
            with part.open("wb") as file:
                async for piece in parts:
                    found.update(piece)
                    file.write(piece)
            if found.hexdigest() != digest:
                msg = f"The bytes that came have the digest {found.hexdigest()[:12]}…, and {digest[:12]}… was said. Send them again."
                raise DigestMismatch(msg)
            part.replace(self._folder / digest)
        finally:
            part.unlink(missing_ok=True)

    def fetch(self, digest: str) -> bytes:
        """Return kept bytes.

        Raises:
            NotFound: they are not there (any more).
        """
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError as error:
            msg = f"Nothing of digest {digest[:12]}… is here: bytes are kept for an hour. Send them again."
            raise NotFound(msg) from error

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            msg = f"{digest[:100]!r} is no digest. Expected 64 hexadecimal digits (SHA-256)."
            raise NotFound(msg)
        return self._folder / digest

    def _part(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tidy()
        part = self._folder / f".{secrets.token_hex(8)}"
        part.touch(mode=0o600)
        return part

    def _tidy(self) -> None:
        """Remove what was kept long enough.

        Raises:
            StoreFull: as much is kept as may be.
        """
        size, edge = 0, SystemClock().now().timestamp() - _KEPT
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):
                found = entry.stat()
                if found.st_mtime < edge:
                    Path(entry.path).unlink()
                else:
                    size += found.st_size
        if size > _MOST:
            msg = f"More than {_MOST:,} bytes are on their way already. Try again within the hour."
            raise StoreFull(msg)
