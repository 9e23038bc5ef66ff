"""The objects of an S3 bucket that a pattern matches, listed page by page and never opened for that."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError

from treadle.core.errors import SourceUnreadable
from treadle.data.raw import SourceFile
from treadle.data.sources._listing import is_on_its_way, split_pattern
from treadle.store import s3
from treadle.store.places import Place, place_of

#: Objects of one page of the listing.
_PAGE = 1_000
Match = Callable[[str], Any]


class Bucket:
    """The objects that a pattern such as `s3://bucket/landing/**/*.csv` matches."""

    def __init__(self, pattern: str, *, options: Mapping[str, str]) -> None:
        self._place: Place = place_of(pattern, root=Path())
        self._url = f"s3://{self._place.bucket}"
        self._pattern = (
            pattern.removeprefix(f"{self._url}/").strip("/") if "/" in pattern.removeprefix("s3://") else ""
        )
        where = Place(kind="s3", path=Path(), bucket=self._place.bucket)
        self._store: Any = s3.store_of(where, options=options)

    def listing(self, *, wanted: Callable[[str], bool]) -> list[SourceFile]:
        """Return the objects, sorted by path. A pattern without wildcards is an object, or all `wanted` ones below it.

        Raises:
            SourceUnreadable: the bucket does not answer, does not exist, or refuses these credentials.
        """
        plain, wild = split_pattern(self._pattern.split("/") if self._pattern else [])
        prefix = "/".join(plain)
        with self._speaking(self._url):
            found = list(self._matching(prefix, wild, wanted))
            if not wild and not found and prefix:
                found = list(self._only(prefix))
        return sorted(found, key=lambda file: file.path)

    def fetch(self, file: SourceFile) -> bytes:
        """Return an object's bytes.

        Raises:
            SourceUnreadable: it cannot be read.
        """
        with self._speaking(file.path):
            return bytes(obstore.get(self._store, file.place.removeprefix(f"{self._url}/")).bytes())

    def _matching(self, prefix: str, wild: list[str], wanted: Callable[[str], bool]) -> Iterator[SourceFile]:
        parts = [
            None if part == "**" else re.compile(fnmatch.translate(part)).match
            for part in wild or ["**", "*"]
        ]
        if parts[-1] is None:
            parts.append(re.compile(".*").match)
        begin = len(prefix) + 1 if prefix else 0
        for page in obstore.list(self._store, prefix=prefix or None, chunk_size=_PAGE):
            for found in page:
                names = found["path"][begin:].split("/")
                if not is_on_its_way(names[-1]) and (wild or wanted(names[-1])) and _fits(names, parts):
                    yield self._seen(found)

    def _only(self, key: str) -> Iterator[SourceFile]:
        try:
            yield self._seen(obstore.head(self._store, key))
        except (NotFoundError, FileNotFoundError) as error:
            if "NoSuchBucket" in str(error):
                raise

    def _seen(self, found: Any) -> SourceFile:
        moment = int(found["last_modified"].timestamp() * 1_000_000) * 1_000
        mark = (found["e_tag"] or "").strip('"').replace(":", "_")
        path = f"{self._url}/{found['path']}"
        return SourceFile(
            path=path,
            place=path,
            size=found["size"],
            mtime_ns=moment,
            stamp=f"{found['size']}-{moment}-{mark}",
        )

    @contextmanager
    def _speaking(self, what: str) -> Iterator[None]:
        """Raise `SourceUnreadable` for what the client raises in the block."""
        try:
            yield
        except (BaseError, OSError) as error:
            text = str(error)
            if "NoSuchBucket" in text:
                msg = f"{what} cannot be read: there is no bucket {self._place.bucket!r}."
            elif isinstance(error, NotFoundError | FileNotFoundError):
                msg = f"{what} cannot be read: it is gone."
            else:
                msg = f"{what} cannot be read. {s3.explain('source', self._url, text)}"
            raise SourceUnreadable(msg) from error


def _fits(names: Sequence[str], parts: Sequence[Match | None]) -> bool:
    """Return whether the names of a key's folders and its own match the parts; None stands for `**`, any number of folders.

    >>> _fits(["a", "b", "c.csv"], [None, re.compile(".*csv").match])
    True
    """
    if not parts:
        return not names
    first, *rest = parts
    if first is None:
        return any(_fits(names[start:], rest) for start in range(len(names)))
    return bool(names) and first(names[0]) is not None and _fits(names[1:], rest)
