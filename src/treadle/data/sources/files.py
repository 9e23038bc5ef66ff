"""Files in a folder: Parquet, CSV (also zipped or gzipped) and JSON lines."""

from __future__ import annotations

import gzip
import io
import itertools
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.data.raw import Raw, SourceFile
from treadle.data.sources import _csv, _jsonl

_FORMATS = {
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
}
_PACKED = {"gz", "zip"}
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class Files:
    """Files that match a pattern, as `Files("landing/flights/*.csv")`, or all data files below a folder.

    A relative pattern starts at the project's folder; `**` matches folders too. Names that start with `.` or `_` and
    names that end in `.tmp` or `.part` are passed over: write under such a name and rename when the file is whole.
    `format` (`csv`, `parquet`, `jsonl`) overrides what the name's ending says. In CSV an empty cell is always null;
    `null_values` names other texts that are.
    """

    pattern: str
    format: str | None = None
    null_values: Sequence[str] = ("",)
    delimiter: str = ","

    def __post_init__(self) -> None:
        """Check what was declared."""
        if self.format is not None and self.format not in _FORMATS.values():
            msg = f"Files(format={self.format!r}) is not known. Expected csv, parquet or jsonl."
            raise InvalidDeclaration(msg, field="format")
        if len(self.delimiter.encode()) != 1:
            msg = f"Files(delimiter={self.delimiter!r}) cannot separate cells. Expected one character, as ',' or ';'."
            raise InvalidDeclaration(msg, field="delimiter")
        if isinstance(self.null_values, str):
            msg = f"Files(null_values={self.null_values!r}) is one text. Expected a list, as [{self.null_values!r}]."
            raise InvalidDeclaration(msg, field="null_values")

    def listing(self, root: Path) -> list[SourceFile]:
        """Return the files that are there now, sorted by path; none is opened."""
        within = f"{root}/"
        found = [_seen(place, within) for place in self._places(root)]
        return sorted((file for file in found if file), key=lambda file: file.path)

    def fetch(self, file: SourceFile) -> bytes:
        """Return a file's bytes.

        Raises:
            SourceUnreadable: it cannot be read.
        """
        try:
            return Path(file.place).read_bytes()
        except OSError as error:
            msg = f"{file.path} cannot be read: {error.strerror or error}."
            raise SourceUnreadable(msg) from error

    def parse(self, file: SourceFile, data: bytes) -> Raw:
        """Return the rows in a file's bytes.

        Raises:
            SourceUnreadable: the bytes are not a whole file of this format.
        """
        kind, packing = self._kind(file.path)
        plain = _unpacked(file.path, data, packing)
        if not plain:
            msg = f"{file.path} is empty. Expected at least a header, or take the file away."
            raise SourceUnreadable(msg)
        if kind == "parquet":
            return _parquet(file.path, plain)
        if kind == "jsonl":
            return _jsonl.parse(file.path, plain)
        return _csv.parse(file.path, plain, delimiter=self.delimiter, null_values=self.null_values)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "source": "files",
            "pattern": self.pattern,
            "format": self.format,
            "null_values": list(self.null_values),
            "delimiter": self.delimiter,
        }

    def _places(self, root: Path) -> Iterator[Path]:
        """Return what the pattern matches: below a folder, the files of known formats."""
        parts = Path(self.pattern).parts
        plain = list(itertools.takewhile(lambda part: not _WILD & set(part), parts))
        base = root.joinpath(*plain)
        if len(plain) < len(parts):
            return base.glob("/".join(parts[len(plain) :]))
        if not base.is_dir():
            return iter([base])
        return (place for place in base.rglob("*") if self.format or _endings(place.name)[0] in _FORMATS)

    def _kind(self, path: str) -> tuple[str, str]:
        ending, packing = _endings(path)
        kind = self.format or _FORMATS.get(ending)
        if kind is None:
            msg = (
                f"{path}: the ending {ending!r} is no known format. Expected .parquet, .csv, .jsonl (also .gz or .zip), "
                "or say Files(..., format='csv')."
            )
            raise SourceUnreadable(msg)
        return kind, packing


def _seen(place: Path, within: str) -> SourceFile | None:
    """Return what is known of a file without opening it; None for folders, files on their way, and files gone meanwhile."""
    if place.name.startswith((".", "_")) or place.name.endswith((".tmp", ".part")):
        return None
    path = str(place).removeprefix(within)
    try:
        state = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        # It is there and cannot be asked about: to be told as a problem when it is opened.
        return SourceFile(path=path, place=str(place), size=0, mtime_ns=0, stamp="unknown")
    if not stat.S_ISREG(state.st_mode):
        return None
    return SourceFile(
        path=path,
        place=str(place),
        size=state.st_size,
        mtime_ns=state.st_mtime_ns,
        # Not the time of the last change alone: a copy can carry the old one over.
        stamp=f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}-{state.st_ino}",
    )


def _endings(path: str) -> tuple[str, str]:
    """Return the ending that says the format, and the one that says the packing, of `a.csv.gz`."""
    *_, first, last = ["", "", *path.rpartition("/")[2].lower().split(".")]
    return (first, last) if last in _PACKED else (last, "")


def _unpacked(path: str, data: bytes, packing: str) -> bytes:
    try:
        if packing == "gz":
            return gzip.decompress(data)
        return _only_member(path, data) if packing == "zip" else data
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        msg = f"{path} is not a whole .{packing} file: {error}. Land the file again."
        raise SourceUnreadable(msg) from error


def _only_member(path: str, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/")
            and not name.startswith("__MACOSX/")
            and not name.rpartition("/")[2].startswith(".")
        ]
        if len(names) != 1:
            msg = f"{path} holds {len(names)} files. Expected one file in each .zip."
            raise SourceUnreadable(msg)
        return archive.read(names[0])


def _parquet(path: str, data: bytes) -> Raw:
    try:
        frame = pl.read_parquet(io.BytesIO(data), hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path} is not a whole Parquet file: {first}. Land the file again."
        raise SourceUnreadable(msg) from error
    return Raw(file=path, frame=frame, form="typed")
