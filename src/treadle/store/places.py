"""Where a store is: a folder, or a bucket with a prefix."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from treadle.core.errors import SettingsError


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed store URL."""

    #: Name of the back end: `folder`, or the URL's scheme.
    kind: str
    #: The folder; for other kinds the project's root.
    path: Path
    #: The bucket; empty for a folder.
    bucket: str = ""
    #: What stands before every key in the bucket, without slashes at its ends.
    prefix: str = ""

    @property
    def url(self) -> str:
        """The place as a URL, or as the folder's path."""
        if not self.bucket:
            return str(self.path)
        return f"{self.kind}://{self.bucket}/{self.prefix}".rstrip("/")


def place_of(url: str, *, root: Path) -> Place:
    """Return the place that a store's URL names; a relative folder starts at `root`.

    >>> place_of("s3://team/treadle/", root=Path("/project")).prefix
    'treadle'

    Raises:
        SettingsError: the URL names no folder and no bucket.
    """
    if "://" not in url:
        if not url:
            msg = "The URL of a store is empty. Expected a folder, or s3://bucket/prefix"
            raise SettingsError(msg)
        return Place(kind="folder", path=root / url)
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Place(kind="folder", path=Path(unquote(parts.path)))
    if not parts.netloc:
        msg = f"{url!r} names no bucket. Expected a folder, or {parts.scheme}://bucket/prefix"
        raise SettingsError(msg)
    return Place(kind=parts.scheme, path=root, bucket=parts.netloc, prefix=parts.path.strip("/"))
