"""Archives from anybody: their files one after another, read as a stream and never unpacked to a disk.

An archive is refused as a whole where one member is not what an honest one would have: whoever made it decides what its
names, sizes and headers say, so none of them is believed before it was checked.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.data.zips import open_zip

#: Reads so many of a member's bytes, or fewer at its end.
Read = Callable[[int], bytes]

#: Endings of the names of archives.
ZIP, TAR, TAR_GZ = ".zip", ".tar", (".tar.gz", ".tgz")
#: Bytes that an archive may always unpack to, whatever their ratio to its own.
_ALWAYS = 64 * 2**20
#: Bytes that are read at once, and bytes of all headers of one member: names and attributes, each of 64 KB at most.
_AT_ONCE, _HEADERS = 2**20, 2**17
_BLOCK = 512
_LONGEST_NAME, _LONGEST_PATH = 255, 4096
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_ENCRYPTED = 0x1
_DRIVE = re.compile(r"[A-Za-z]:")
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
#: What reading raises where bytes are damaged, or were made to do harm.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    OverflowError,
)


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """How much an archive may hold: members, bytes when unpacked, and how many times its own bytes these are.

    Up to 64 MB are never too many times its own.

    >>> ArchiveLimits(members=1_000_000).size
    17179869184
    """

    members: int = 100_000
    size: int = 16 * 2**30
    ratio: float = 200.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        for name in ("members", "size", "ratio"):
            if getattr(self, name) < 1:
                msg = f"ArchiveLimits({name}={getattr(self, name)!r}) lets nothing in. Expected 1 or more."
                raise InvalidDeclaration(msg, field=name)


class Member(NamedTuple):
    """A file in an archive."""

    path: str
    size: int
    executable: bool


def is_archive(source: str) -> bool:
    """Whether a source is one archive, and not a folder, by its name."""
    return source.lower().endswith((ZIP, TAR, *TAR_GZ))


@contextmanager
def opened(place: str) -> Iterator[BinaryIO]:
    """Open an archive for as long as the block lasts, in which it must not change.

    Raises:
        SourceUnreadable: it cannot be read, is no archive, is refused, or changed meanwhile.
    """
    try:
        with open(place, "rb") as file:  # noqa: PTH123 - its place is a text
            before = os.fstat(file.fileno())
            yield file
            after = os.fstat(file.fileno())
    except _DAMAGE as error:
        raise _refused(
            place, f"it cannot be read to its end ({str(error) or type(error).__name__})"
        ) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _refused(place, "it changes while it is read; give it its name when it is whole")


def files(file: BinaryIO, place: str, limits: ArchiveLimits) -> Iterator[tuple[Member, Read]]:
    """Yield the files of an open archive, in its order; each is to be read, or left, before the next one.

    Raises:
        SourceUnreadable: a member has no place in a tree, or there are more or larger ones than the limits allow. A zip says
            so before its first file, a tar when it comes to it.
    """
    file.seek(0)
    guard = _Guard(place, os.fstat(file.fileno()).st_size, limits)
    name = place.lower()
    if name.endswith(ZIP):
        yield from _zipped(file, guard)
    elif name.endswith(TAR):
        yield from _tarred(file, guard)
    else:
        with gzip.GzipFile(fileobj=file) as plain:
            yield from _tarred(plain, guard)


class _Guard:
    """Counts what an archive holds, and refuses it."""

    def __init__(self, place: str, packed: int, limits: ArchiveLimits) -> None:
        self.limits = limits
        self._place = place
        self._most = min(limits.size, max(_ALWAYS, int(limits.ratio * packed)))
        self._said = (
            f"it unpacks to more than {limits.size:,} bytes (ArchiveLimits.size)"
            if self._most == limits.size
            else f"it unpacks to more than {limits.ratio:g} times its {packed:,} bytes (ArchiveLimits.ratio)"
        )
        self._members = self._bytes = 0
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def refused(self, reason: str) -> SourceUnreadable:
        return _refused(self._place, reason)

    def admit(self, name: str, *, folder: bool) -> str:
        """Count a member, and return the path that its name says."""
        self._members += 1
        if self._members > self.limits.members:
            raise self.refused(f"it has more than {self.limits.members:,} members (ArchiveLimits.members)")
        if wrong := _wrong(name):
            raise self.refused(f"the member {name!r} {wrong}")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        path = "/".join(parts)
        self._enter("/".join(parts if folder else parts[:-1]))
        if not folder:
            if not path or path in self._files or path in self._folders:
                raise self.refused(f"it has two members {name!r}")
            self._files.add(path)
        return path

    def take(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size
        if self._bytes > self._most:
            raise self.refused(self._said)

    def _enter(self, folder: str) -> None:
        while folder and folder not in self._folders:
            if folder in self._files:
                raise self.refused(f"{folder!r} is a file in it, and a folder")
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]


def _wrong(name: str) -> str:
    """Return why a member may not have a name; empty: it may."""
    parts = name.split("/")
    if name.startswith("/") or _DRIVE.match(name):
        return "is absolute. Pack the folder from within it"
    if ".." in parts:
        return "leads out of the folder. Pack the folder from within it"
    if "\0" in name:
        return "has a zero byte in its name"
    if "\\" in name:
        return "has a backslash in its name. Pack it with slashes"
    try:
        long = max(len(part.encode()) for part in parts) > _LONGEST_NAME or len(name.encode()) > _LONGEST_PATH
    except UnicodeEncodeError:
        return "has a name that is not UTF-8. Rename it"
    return "has a name that is too long for a file" if long else ""


def _zipped(file: BinaryIO, guard: _Guard) -> Iterator[tuple[Member, Read]]:
    with open_zip(file, most=guard.limits.members) as archive:
        found = [(info, member) for info in archive.infolist() if (member := _zip_member(info, guard))]
        for info, member in found:
            with archive.open(info) as stream:
                yield member, stream.read


def _zip_member(info: zipfile.ZipInfo, guard: _Guard) -> Member | None:
    # The name as it stands in the archive: `filename` ends at a zero byte.
    name, mode = info.orig_filename, info.external_attr >> 16
    path = guard.admit(name, folder=info.is_dir())
    guard.take(info.file_size)
    if info.is_dir():
        return None
    if (kind := stat.S_IFMT(mode)) not in (0, stat.S_IFREG):
        raise guard.refused(_no_file(name, kind))
    if info.flag_bits & _ENCRYPTED:
        raise guard.refused(f"the member {name!r} is encrypted. Pack it without a password")
    if info.compress_type not in _PACKINGS:
        raise guard.refused(
            f"the member {name!r} is packed in an unusual way ({info.compress_type}). Pack it anew"
        )
    return Member(path, info.file_size, bool(mode & stat.S_IXUSR))


def _tarred(plain: BinaryIO | gzip.GzipFile, guard: _Guard) -> Iterator[tuple[Member, Read]]:
    stream = _Forward(plain, guard)
    archive = tarfile.TarFile(fileobj=stream, errorlevel=2)  # type: ignore[arg-type]  # it needs no more of a file
    while (info := archive.next()) is not None:
        stream.header = 0
        archive.members.clear()  # type: ignore[attr-defined]  # they are all kept otherwise
        path = guard.admit(info.name, folder=info.isdir())
        if info.isdir():
            continue
        if not info.isreg() or info.issparse() or info.size < 0:
            raise guard.refused(_no_file(info.name, info.type))
        stream.seek(info.offset_data)
        yield Member(path, info.size, bool(info.mode & stat.S_IXUSR)), stream.content
    if stream.last.strip(b"\0") or len(stream.last) < _BLOCK:
        raise guard.refused("it is cut off, or damaged in its middle")


class _Forward:
    """A stream as `tarfile` reads a file: forward only, but for one byte, and never much at once."""

    def __init__(self, plain: BinaryIO | gzip.GzipFile, guard: _Guard) -> None:
        self._plain, self._guard = plain, guard
        self._at = 0
        #: What was read last.
        self.last = b""
        self._again = b""
        #: Bytes of headers since the last member.
        self.header = 0

    def read(self, size: int) -> bytes:
        """Read headers, which `tarfile` holds in memory however long they say that they are."""
        self.header += size
        if self.header > _HEADERS:
            raise self._guard.refused(f"it has a header of more than {_HEADERS:,} bytes")
        return self.content(size)

    def content(self, size: int) -> bytes:
        """Read what a member holds."""
        again, self._again = self._again[:size], b""
        data = again + self._plain.read(size - len(again))
        self._guard.take(len(data) - len(again))
        self._at += len(data)
        self.last = data
        return data

    def tell(self) -> int:
        return self._at

    def seek(self, to: int) -> int:
        if to == self._at - 1 and self.last:
            self._again, self._at = self.last[-1:], to
        if to < self._at:
            raise self._guard.refused("one of its headers leads back to an earlier one")
        while self._at < to and self.content(min(to - self._at, _AT_ONCE)):
            pass
        return self._at


def _no_file(name: str, kind: bytes | int) -> str:
    what = _KINDS.get(kind, "no plain file")
    more = (
        ". Pack what it leads to in its place (tar --dereference --hard-dereference)"
        if "link" in what
        else ""
    )
    return f"the member {name!r} is {what}{more}"


def _refused(place: str, reason: str) -> SourceUnreadable:
    return SourceUnreadable(f"The archive {place} is refused: {reason}. Nothing of it was stored.")
