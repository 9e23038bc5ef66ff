"""ZIP files that anybody may have made: opened once their directory was counted, as a million entries fill a gigabyte."""

from __future__ import annotations

import zipfile
from typing import IO

#: What each entry of a directory begins with.
_ENTRY = b"PK\x01\x02"
#: Bytes of the largest directory that is read.
_LARGEST = 256 * 2**20


class _Counted:
    """A file of which no directory is read that has more entries than are wanted."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file = file
        #: Entries that a read may bring; None: what is read is no directory any more.
        self.most: int | None = most
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > _LARGEST:
            msg = f"its directory has {size:,} bytes"
            raise zipfile.BadZipFile(msg)
        data = self._file.read(size)
        if self.most is not None and data.count(_ENTRY) > self.most:
            msg = f"it has more than {self.most:,} members"
            raise zipfile.BadZipFile(msg)
        return data

    def seekable(self) -> bool:
        return True


def open_zip(file: IO[bytes], *, most: int) -> zipfile.ZipFile:
    """Open a ZIP file of at most so many members; what is in it is not looked at.

    Raises:
        zipfile.BadZipFile: it has more, or is no ZIP file.
    """
    counted = _Counted(file, most)
    archive = zipfile.ZipFile(counted)
    counted.most = None
    return archive
