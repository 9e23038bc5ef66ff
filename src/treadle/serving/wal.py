"""Segments: append-only files of framed, checksummed entries that a killed process leaves readable.

A segment starts with 8 bytes of magic; each entry is its length and its CRC-32 (both unsigned 32-bit little-endian)
and its bytes. A reader stops at the first frame that is cut off or does not match its checksum: nothing behind it
was ever acknowledged, because a writer that fails never goes on in the same segment.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_MAGIC = b"treadle1"
_HEADER = struct.Struct("<II")
#: A segment that is being written, and one that is complete.
OPEN, SEALED = ".open", ".sealed"


class Segment:
    """A segment that is being written."""

    def __init__(self, folder: Path, number: int) -> None:
        """Create the segment's file, so that it is there after a power cut.

        Raises:
            OSError: the file cannot be made.
        """
        self.path = folder / f"{number:010d}{OPEN}"
        self.size = 0
        self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            self._write(_MAGIC)
            sync_folder(folder)
        except OSError:
            self.close()
            self.path.unlink(missing_ok=True)
            raise

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write entries and force them to the disk.

        Raises:
            OSError: none of them counts, and the segment must be given up.
        """
        before = self.size
        framed = bytearray()
        for payload in payloads:
            framed += _HEADER.pack(len(payload), zlib.crc32(payload))
            framed += payload
        try:
            self._write(framed)
            os.fdatasync(self._file)
        except OSError:
            with suppress(OSError):  # what is left behind is only in the way
                os.ftruncate(self._file, before)
            raise

    def seal(self) -> Path:
        """Close the segment and mark it complete; return its file.

        Raises:
            OSError: it could not be renamed; it is closed nevertheless.
        """
        self.close()
        return sealed(self.path)

    def close(self) -> None:
        """Close the file; what was appended stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self.size += len(data)


def sealed(path: Path) -> Path:
    """Mark a segment complete; return its new file."""
    return path.rename(path.with_suffix(SEALED))


def number_of(path: Path) -> int:
    """Return the number of a segment's file."""
    return int(path.stem)


def segments(folder: Path) -> list[Path]:
    """Return the files of all segments of a folder, the oldest first."""
    try:
        found = [path for path in folder.iterdir() if path.suffix in {OPEN, SEALED}]
    except FileNotFoundError:
        return []
    return sorted(found, key=number_of)


def entries(path: Path) -> Iterator[bytes]:
    """Return the entries of a segment, up to the first that is torn; nothing if it has gone meanwhile."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    if data[: len(_MAGIC)] != _MAGIC:
        return
    place = len(_MAGIC)
    while place + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        payload = data[place : place + length]
        if length == 0 or len(payload) < length or zlib.crc32(payload) != checksum:
            return
        yield payload
        place += length


def sync_folder(folder: Path) -> None:
    """Force a folder's list of files to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
