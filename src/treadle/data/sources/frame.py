"""Rows that are in memory already: a frame of Polars, pandas or PyArrow, or anything else that speaks Arrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.core.optional import require
from treadle.data.raw import Batch, Raw
from treadle.data.sources._digests import digest_of

#: Rows of a slice, which is one batch and one dataset version.
BATCH_ROWS = 200_000


@dataclass(frozen=True)
class Frame:
    """Rows of a data frame, or of a function that returns one when rows are ingested.

    `Frame(df)` takes what Polars, pandas or PyArrow hold, and any object with an Arrow PyCapsule
    (`__arrow_c_stream__`). A frame whose content is what was read last is not read again; of another one all
    rows are read, and those that are in the dataset already are dropped by their key. Large frames are read in slices of
    `batch_rows`. `name` is how batches are called in the quarantine and in errors.
    """

    rows: Any
    name: str = "rows"
    batch_rows: int = BATCH_ROWS

    def __post_init__(self) -> None:
        """Check what was declared."""
        if not callable(self.rows) and not _speaks_arrow(self.rows):
            msg = (
                f"Frame({type(self.rows).__qualname__}) is no data frame. Expected one of Polars, pandas or PyArrow, an object "
                "with __arrow_c_stream__, or a function that returns one; lists and dicts: polars.DataFrame(rows)."
            )
            raise InvalidDeclaration(msg, field="rows")
        if self.batch_rows < 1:
            msg = f"Frame(batch_rows={self.batch_rows}) holds no row. Expected a positive number."
            raise InvalidDeclaration(msg, field="batch_rows")

    @contextmanager
    def batches(
        self,
        root: Path,  # noqa: ARG002 - all sources are called alike
        *,
        after: Mapping[str, Any] | None,
        key: Sequence[str],  # noqa: ARG002
    ) -> Iterator[Iterator[Batch]]:
        """Return the frame in slices, unless it is the one that was read last; see `OrderedSource.batches`.

        Raises:
            SourceUnreadable: the function failed or returned no data frame.
        """
        yield self._slices(self._frame(), after or {})

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values; the rows are no part of it."""
        return {"source": "frame", "name": self.name}

    def _slices(self, frame: pl.DataFrame, after: Mapping[str, Any]) -> Iterator[Batch]:
        digest = f"{frame.height}-{digest_of(frame)}"
        begin = int(after.get("rows", 0)) if after.get("digest") == digest else 0
        for start in range(begin, frame.height, self.batch_rows):
            rows = frame.slice(start, self.batch_rows)
            raw = Raw(file=f"frame {self.name}", frame=rows, form="typed")
            yield Batch(raw=raw, position={"digest": digest, "rows": start + rows.height})

    def _frame(self) -> pl.DataFrame:
        if _speaks_arrow(self.rows):
            return _polars(self.rows)
        try:
            rows = self.rows()
        except Exception as error:  # the user's own function may raise anything
            msg = f"The function of the frame {self.name!r} failed: {type(error).__name__}: {error}"
            raise SourceUnreadable(msg) from error
        if not _speaks_arrow(rows):
            msg = f"The function of the frame {self.name!r} returned {type(rows).__qualname__}; expected a data frame."
            raise SourceUnreadable(msg)
        return _polars(rows)


def _speaks_arrow(rows: Any) -> bool:
    return isinstance(rows, pl.LazyFrame) or (
        hasattr(rows, "__arrow_c_stream__") and not isinstance(rows, pl.Series)
    )


def _polars(rows: Any) -> pl.DataFrame:
    if isinstance(rows, pl.LazyFrame):
        return rows.collect()
    if isinstance(rows, pl.DataFrame):
        return rows
    if type(rows).__module__.partition(".")[0] == "pandas":
        # Not through its capsule, which makes a column of the index.
        require("pyarrow", extra="table")
        return pl.from_pandas(rows)
    return pl.DataFrame(rows)
