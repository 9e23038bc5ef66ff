"""The rows that a batch scores: Parquet files as they are; text files and frames after they were made into some."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from treadle.core.errors import InvalidInput, StoreFull
from treadle.core.records import Record
from treadle.core.signature import Field, Signature
from treadle.serving.encoding import described
from treadle.store.failures import of_os_error
from treadle.store.files import flush_file, flush_folder, part_name

#: Ending → how a file is opened; the text of a CSV file is understood by the model's signature.
_READERS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    ".csv": lambda path: pl.scan_csv(path, infer_schema=False, glob=False),
    ".tsv": lambda path: pl.scan_csv(path, infer_schema=False, separator="\t", glob=False),
    # All lines are looked at: a name that comes late is a column too, and whole numbers may be followed by others.
    ".jsonl": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
    ".ndjson": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
    ".parquet": lambda path: pl.scan_parquet(path, glob=False),
}
_TEXT = {".csv", ".tsv"}
#: What a column of a kind may be stored as.
_STORED: dict[str, Callable[[Any], bool]] = {
    "integer": lambda t: t.is_integer() or t.is_float(),
    "float": lambda t: t.is_numeric(),
    "boolean": lambda t: t == pl.Boolean,
    "string": lambda t: t == pl.String or isinstance(t, pl.Categorical | pl.Enum),
    "category": lambda t: t == pl.String or isinstance(t, pl.Categorical | pl.Enum),
    "timestamp": lambda t: isinstance(t, pl.Datetime) or t == pl.String,
    "date": lambda t: t in {pl.Date, pl.String},
}


class Input(Record, frozen=True, kw_only=True):
    """One Parquet file."""

    file: str
    #: What it is called in messages.
    shown: str
    rows: int
    #: Name and type of each column.
    columns: tuple[tuple[str, str], ...]
    #: What tells these rows from others.
    identity: dict[str, Any]
    #: Whether every value is text, as in the CSV file that it was made from.
    textual: bool = False


def expand(patterns: Sequence[str]) -> list[Path]:
    """Return the files that patterns such as `in/*.parquet` name, in the order of their names.

    Raises:
        InvalidInput: a pattern finds nothing, or a file of a kind that is not read.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207 - patterns may be absolute
        files = [path for path in paths if path.is_file()]
        if not files:
            msg = f"No file is at {pattern!r}. Expected files, or a pattern as 'in/*.parquet'."
            raise InvalidInput(msg, field="inputs")
        found |= dict.fromkeys(files)
    for path in found:
        if path.suffix.lower() not in _READERS:
            msg = f"{path} cannot be read. Expected a file that ends in {', '.join(_READERS)}."
            raise InvalidInput(msg, field="inputs")
    return list(found)


def of_file(path: Path, *, spool: Path) -> Input:
    """Return a file as an input; one that is not Parquet is made into that first, in `spool`, a piece at a time.

    Raises:
        InvalidInput: it cannot be read.
    """
    kind, stat = path.suffix.lower(), path.stat()
    identity = {"file": path.name, "size": stat.st_size, "changed": stat.st_mtime_ns}
    try:
        place = path if kind == ".parquet" else spooled(_READERS[kind](path), spool)
        return described_as(place.absolute(), shown=str(path), identity=identity, textual=kind in _TEXT)
    except pl.exceptions.PolarsError as error:
        msg = f"{path} cannot be read: {str(error).splitlines()[0]}"
        raise InvalidInput(msg, field="inputs") from error
    except OSError as error:
        msg = f"{path} cannot be read: {error}"
        raise InvalidInput(msg, field="inputs") from error


def of_frames(frames: Iterable[pl.DataFrame], *, spool: Path, shown: str) -> list[Input]:
    """Return frames that come one by one as inputs, each in a file of its own in `spool`."""
    found = []
    for number, frame in enumerate(frames):
        place = spooled(frame.lazy(), spool.with_name(f"{spool.stem}-{number:05d}.parquet"))
        found.append(described_as(place.absolute(), shown=shown, identity={"frame": number}))
    return found


def described_as(path: Path, *, shown: str, identity: dict[str, Any], textual: bool = False) -> Input:
    """Return a Parquet file as an input."""
    rows = pl.scan_parquet(path, glob=False)
    return Input(
        file=str(path),
        shown=shown,
        rows=int(rows.select(pl.len()).collect().item()),
        columns=tuple((name, str(kind)) for name, kind in rows.collect_schema().items()),
        identity=identity,
        textual=textual,
    )


def check(one: Input, signature: Signature) -> None:
    """Make sure that an input has what a model takes.

    Raises:
        InvalidInput: a column is missing, or is stored as something else than its kind.
    """
    there = pl.scan_parquet(Path(one.file), glob=False).collect_schema()
    missing = [field for field in signature.inputs if field.name not in there]
    if missing:
        wanted = ", ".join(f"{field.name} ({described(field)})" for field in missing)
        msg = f"{one.shown} lacks {wanted}. It has {', '.join(there)}."
        raise InvalidInput(msg, field=missing[0].name)
    for field in signature.inputs:
        if not one.textual and not fits(field, there[field.name]):
            msg = f"Column {field.name!r} of {one.shown} is {there[field.name]}. Expected {described(field)}."
            raise InvalidInput(msg, field=field.name)


def fits(field: Field, kind: pl.DataType) -> bool:
    """Return whether values that are stored as a type can be ones of a field."""
    return kind == pl.Null or _STORED[field.kind](kind)


def spooled(rows: pl.LazyFrame, place: Path) -> Path:
    """Write rows to a Parquet file a piece at a time, whole or not at all; return the file."""
    part = place.with_name(part_name())
    try:
        rows.sink_parquet(part, compression="lz4", row_group_size=65_536)
        flush_file(part)
        part.replace(place)
        flush_folder(place.parent)
    except OSError as error:
        failure = of_os_error(error, store="batch", place=str(place.parent))
        if isinstance(failure, StoreFull):
            raise failure from error
        raise
    finally:
        part.unlink(missing_ok=True)
    return place
