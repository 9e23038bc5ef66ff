"""Rows as they landed, before anything is believed about them, and what a source must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from treadle.core.records import Record

#: How cells are written: `typed` (Parquet), `text` (CSV: every cell is text) or `json` (text cells are JSON strings).
Form = Literal["typed", "text", "json"]


class SourceFile(Record, frozen=True, kw_only=True):
    """One file that a source offers."""

    #: Path relative to the project's folder where it is inside, with forward slashes; the name by which it is known.
    path: str
    #: Where it is on this machine.
    place: str
    #: Bytes.
    size: int
    #: Moment of the last change, in nanoseconds since 1970.
    mtime_ns: int
    #: Cheap mark of the present content, read without opening the file: it changes whenever the file is changed.
    stamp: str


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Rows as they landed, of one file or of several that are alike."""

    #: Path of the file, or of the first.
    file: str
    #: One column for each column of the file; the first row is row 1.
    frame: pl.DataFrame
    form: Form
    #: Columns whose cells are of several JSON types: each cell is its JSON text.
    mixed: frozenset[str] = frozenset()
    #: Rows that could not be split into cells: row number → reason.
    broken: dict[int, str] = field(default_factory=dict)
    #: `_file` and `_row` of each row, where they are not the rows 1, 2, 3, … of `file`.
    given_places: pl.DataFrame | None = None

    @property
    def places(self) -> pl.DataFrame:
        """Where each row stood: `_file`, and `_row`, which counts from 1."""
        if self.given_places is not None:
            return self.given_places
        numbers = pl.int_range(1, self.frame.height + 1, dtype=pl.Int64, eager=True)
        return pl.select(pl.lit(self.file).alias("_file"), numbers.alias("_row"))

    @property
    def shape(self) -> tuple[object, ...] | None:
        """What files must have in common to be `joined`; None: this one stands alone."""
        if self.broken or self.mixed:
            return None
        return (self.form, *self.frame.schema.items())

    @property
    def may_omit(self) -> bool:
        """Whether a column that is not there means `no value` (JSON) rather than a broken file."""
        return self.form == "json"


def joined(raws: Sequence[Raw]) -> Raw:
    """Return the rows of files of one shape, in order, as one."""
    if len(raws) == 1:
        return raws[0]
    sizes = pl.Series([raw.frame.height for raw in raws], dtype=pl.UInt32)
    numbers = pl.int_ranges(1, sizes + 1, dtype=pl.Int64, eager=True)
    files = pl.DataFrame({"_file": [raw.file for raw in raws], "_row": numbers})
    return replace(
        raws[0],
        frame=pl.concat([raw.frame for raw in raws]),
        given_places=files.filter(sizes > 0).explode("_row"),
    )


def nothing() -> None:
    """Do nothing: there is nobody to tell that a batch is safe."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of a source that is read in order, and where reading goes on after them."""

    #: The rows as they landed; `raw.file` names the batch, as `table flights`.
    raw: Raw
    #: Plain JSON values, stored in the same transaction as the rows.
    position: Mapping[str, Any]
    #: Called after that transaction: the source may forget the rows now.
    acknowledge: Callable[[], None] = nothing


class OrderedSource(Protocol):
    """Something that offers rows in an order, as a table by its watermark or a stream."""

    def batches(
        self, root: Path, *, after: Mapping[str, Any] | None, key: Sequence[str]
    ) -> AbstractContextManager[Iterator[Batch]]:
        """Open the source behind a position (None: at its beginning) and return what is new, batch by batch.

        Each batch is one that fits into memory, and becomes one dataset version; the next is asked for only after it has
        been committed. `key` names the columns that tell rows apart.

        Raises:
            SourceUnreadable: the source does not answer, or has no such rows; also while batches are read.
        """
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values, without secrets."""
        ...


class Source(Protocol):
    """Something that offers files of rows."""

    def listing(self, root: Path) -> list[SourceFile]:
        """Return the files that are there now, sorted by path; none is opened."""
        ...

    def fetch(self, file: SourceFile) -> bytes:
        """Return a file's bytes.

        Raises:
            SourceUnreadable: it cannot be read.
        """
        ...

    def parse(self, file: SourceFile, data: bytes) -> Raw:
        """Return the rows in a file's bytes.

        Raises:
            SourceUnreadable: the bytes are not a whole file of this format.
        """
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...
