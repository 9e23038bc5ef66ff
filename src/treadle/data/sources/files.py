"""Files in a folder or bucket: Parquet, Arrow, CSV (also zipped or gzipped) and JSON lines."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import polars as pl

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.core.settings import aws_options
from treadle.data.raw import Raw, SourceFile
from treadle.data.sources import _csv, _jsonl, _listing
from treadle.data.zips import open_zip

if TYPE_CHECKING:
    from treadle.data.sources._objects import Bucket

_FORMATS = {
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
}
#: A packed file may grow by so much, or to so many bytes, when it is unpacked.
_MOST_TIMES = 200
_ALWAYS_UNPACKED = 64 * 1024 * 1024
#: Members that are looked through for the one file, beside those that packing programs add.
_MOST_MEMBERS = 1_000
_PACKED = {"gz", "zip"}
_S3 = "s3://"
_ARROW = b"ARROW1"


@dataclass(frozen=True)
class Files:
    """Files that match a pattern, as `Files("landing/flights/*.csv")`, or all data files below a folder.

    A relative pattern starts at the project's folder; `**` matches folders too. `s3://bucket/landing/*.parquet` are objects
    of a bucket; credentials and endpoint come from the usual `AWS_*` variables. Names that start with `.` or `_` and
    names that end in `.tmp` or `.part` are passed over: write under such a name and rename when the file is whole.
    `format` (`csv`, `parquet`, `jsonl`, `arrow`) overrides what the name's ending says. In CSV an empty cell is always null;
    `null_values` names other texts that are.
    """

    pattern: str
    format: str | None = None
    null_values: Sequence[str] = ("",)
    delimiter: str = ","

    def __post_init__(self) -> None:
        """Check what was declared."""
        if self.format is not None and self.format not in _FORMATS.values():
            msg = f"Files(format={self.format!r}) is not known. Expected csv, parquet, jsonl or arrow."
            raise InvalidDeclaration(msg, field="format")
        if len(self.delimiter.encode()) != 1:
            msg = f"Files(delimiter={self.delimiter!r}) cannot separate cells. Expected one character, as ',' or ';'."
            raise InvalidDeclaration(msg, field="delimiter")
        if isinstance(self.null_values, str):
            msg = f"Files(null_values={self.null_values!r}) is one text. Expected a list, as [{self.null_values!r}]."
            raise InvalidDeclaration(msg, field="null_values")

    def listing(self, root: Path) -> list[SourceFile]:
        """Return the files that are there now, sorted by path; none is opened.

        Raises:
            SourceUnreadable: the folder may not be listed, or the bucket does not answer.
        """
        if self.pattern.startswith(_S3):
            return self._bucket.listing(wanted=self._is_known)
        return _listing.matching(root, self.pattern, wanted=self._is_known)

    def fetch(self, file: SourceFile) -> bytes:
        """Return a file's bytes.

        Raises:
            SourceUnreadable: it cannot be read.
        """
        if file.place.startswith(_S3):
            return self._bucket.fetch(file)
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
        if kind in _COLUMNAR:
            return _columnar(file.path, plain, kind)
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

    @cached_property
    def _bucket(self) -> Bucket:
        """The bucket; its client keeps connections, so there is one."""
        from treadle.data.sources._objects import Bucket  # the S3 client is loaded by those who use it

        return Bucket(self.pattern, options=aws_options())

    def _is_known(self, name: str) -> bool:
        """Whether a file below a folder is one to read, by its name."""
        return bool(self.format) or _endings(name)[0] in _FORMATS

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


def _endings(path: str) -> tuple[str, str]:
    """Return the ending that says the format, and the one that says the packing, of `a.csv.gz`."""
    *_, first, last = ["", "", *path.rpartition("/")[2].lower().split(".")]
    return (first, last) if last in _PACKED else (last, "")


def _unpacked(path: str, data: bytes, packing: str) -> bytes:
    try:
        if packing == "gz":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                return _at_most(path, packed, len(data))
        return _only_member(path, data) if packing == "zip" else data
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        msg = f"{path} is not a whole .{packing} file: {error}. Land the file again."
        raise SourceUnreadable(msg) from error


def _only_member(path: str, data: bytes) -> bytes:
    with open_zip(io.BytesIO(data), most=_MOST_MEMBERS) as archive:
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
        with archive.open(names[0]) as packed:
            return _at_most(path, packed, len(data))


def _at_most(path: str, packed: io.BufferedIOBase | IO[bytes], size: int) -> bytes:
    """Return what is packed, unless it is so much more than its packing that it can only be meant to do harm.

    Raises:
        SourceUnreadable: it is.
    """
    most = max(_ALWAYS_UNPACKED, _MOST_TIMES * size)
    plain = packed.read(most + 1)
    if len(plain) > most:
        msg = (
            f"{path} unpacks to more than {_MOST_TIMES} times its {size:,} bytes, as no table does. "
            "Land it unpacked if it is what you want."
        )
        raise SourceUnreadable(msg)
    return plain


def _arrow(data: io.BytesIO) -> pl.DataFrame:
    """Read an Arrow file, or the same as a stream."""
    is_file = data.read(len(_ARROW)) == _ARROW
    data.seek(0)
    return pl.read_ipc(data) if is_file else pl.read_ipc_stream(data)


def _parquet(data: io.BytesIO) -> pl.DataFrame:
    return pl.read_parquet(data, hive_partitioning=False)


_COLUMNAR: dict[str, Callable[[io.BytesIO], pl.DataFrame]] = {"parquet": _parquet, "arrow": _arrow}


def _columnar(path: str, data: bytes, kind: str) -> Raw:
    try:
        frame = _COLUMNAR[kind](io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path} is not a whole {kind.capitalize()} file: {first}. Land the file again."
        raise SourceUnreadable(msg) from error
    return Raw(file=path, frame=frame, form="typed")
