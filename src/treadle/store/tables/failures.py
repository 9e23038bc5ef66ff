"""The words for what goes wrong in delta-rs, which says most of it in the text of its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from polars.exceptions import PanicException, PolarsError

from treadle.core.errors import Conflict, NotFound, StoreUnavailable
from treadle.store import s3
from treadle.store.failures import full, read_only

_FULL = re.compile(r"os error (28|122)\b|No space left on device")
_READ_ONLY = re.compile(r"os error (30|13|1)\b|Read-only file system|Permission denied")
_MADE_MEANWHILE = re.compile(r"A table already exists at")
_GONE = re.compile(r"NoSuchKey|os error 2\b")


@contextmanager
def speaking(place: str, *, table: str) -> Iterator[None]:
    """Raise this package's errors for those of delta-rs that are raised in the block."""
    try:
        yield
    except TableNotFoundError as error:
        msg = f"No table named {table!r} in {place}. If there was one, put it back from a backup."
        raise NotFound(msg) from error
    except CommitFailedError as error:
        raise _lost_race(place, table) from error
    except (DeltaError, OSError, PolarsError, PanicException) as error:  # Polars panics on cut files
        if _MADE_MEANWHILE.search(str(error)):
            raise _lost_race(place, table) from error
        raise explain(str(error), place=place, table=table) from error


def explain(text: str, *, place: str, table: str) -> StoreUnavailable:
    """Return what the text of an error of delta-rs or Polars means for a table."""
    if _GONE.search(text):
        return StoreUnavailable(
            f"The table {table!r} in {place} lacks a data file that this version reads. Either the version is no "
            "longer kept (read a newer one), or files were lost (put back a backup)."
        )
    if place.startswith("s3://"):
        return s3.explain("tables", place, text)
    if _FULL.search(text):
        return full("tables", place)
    refusal = _READ_ONLY.search(text)
    if refusal:
        return read_only("tables", place, refusal[0])
    first = next(iter(text.strip().splitlines()), "no reason was given")  # a stack may stand below it
    return StoreUnavailable(
        f"The table {table!r} in {place} cannot be used: {first}. See to its folder and its "
        "disk, or put it back from a backup."
    )


def _lost_race(place: str, table: str) -> Conflict:
    return Conflict(
        f"Another writer committed to the table {table!r} in {place} meanwhile. Read it again and repeat."
    )
