"""Rows that somebody brings to a command in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import polars as pl

#: Ending → Polars' reader.
READERS = {".csv": "read_csv", ".parquet": "read_parquet", ".jsonl": "read_ndjson", ".ndjson": "read_ndjson"}


def read(file: Path) -> pl.DataFrame:
    """Return a file's rows; dates and moments in a CSV file are understood.

    Raises:
        UsageError: it has another ending, or cannot be read.
    """
    import polars as pl

    reader = READERS.get(file.suffix.lower())
    if reader is None:
        msg = f"{file.name}: expected a file that ends in {', '.join(READERS)}."
        raise click.UsageError(msg)
    options = {"try_parse_dates": True} if reader == "read_csv" else {}
    try:
        rows: pl.DataFrame = getattr(pl, reader)(file, **options)
    except (pl.exceptions.PolarsError, OSError) as error:
        msg = f"{file.name} cannot be read: {error}"
        raise click.UsageError(msg) from error
    return rows
