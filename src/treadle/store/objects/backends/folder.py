"""Objects in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from treadle.core.errors import NotFound
from treadle.store.failures import of_os_error
from treadle.store.files import is_part, replacing
from treadle.store.places import Place

_BLOCK = 1024 * 1024


class Backend:
    """A folder; a key is a path in it."""

    def __init__(self, place: Place, *, options: Mapping[str, str]) -> None:  # noqa: ARG002 - for S3
        self.shown = place.url
        self._root = place.path

    def put(self, key: str, data: bytes) -> None:
        """Store bytes in one step, durably, also over what is there."""
        with self._failures(), replacing(self._root / key) as file:
            file.write(data)

    def put_file(self, key: str, path: Path) -> None:
        """Store a local file's content in one step, durably, also over what is there."""
        with path.open("rb") as source, self._failures(), replacing(self._root / key) as file:
            shutil.copyfileobj(source, file, _BLOCK)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield the content in blocks; `NotFound` before the first where there is none."""
        with self._failures(), (self._root / key).open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    def exists(self, key: str) -> bool:
        """Return whether there is content under the key."""
        with self._failures():
            return (self._root / key).is_file()

    def delete(self, key: str) -> None:
        """Remove the content; nothing happens where there is none."""
        with self._failures():
            (self._root / key).unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Yield the key and the size in bytes of each file whose key begins with the folders `prefix`, in no order."""
        with self._failures():
            for folder, _, names in os.walk(self._root / prefix):
                for name in names:
                    path = Path(folder, name)
                    if not is_part(path):
                        yield path.relative_to(self._root).as_posix(), path.stat().st_size

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            msg = f"There is no object {Path(error.filename or '').name!r} in {self.shown}."
            raise NotFound(msg) from error
        except OSError as error:
            raise of_os_error(error, store="objects", place=self.shown) from error
