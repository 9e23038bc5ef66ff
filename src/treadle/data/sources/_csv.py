"""CSV as text cells: fast where the file is regular, row by row where it is not."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import polars as pl

from treadle.core.errors import SourceUnreadable
from treadle.data.raw import Raw

_HEADER_BYTES = 1 << 20
_LONGEST_CELL = 1 << 24


def parse(file: str, data: bytes, *, delimiter: str, null_values: Sequence[str]) -> Raw:
    """Return every row of a CSV file with a header, each cell as text; empty cells and `null_values` are null.

    Blank lines are no rows. A row with too many or too few cells is a broken row.

    Raises:
        SourceUnreadable: the file has no header, is not UTF-8, or ends inside quotes.
    """
    header = _header(file, data, delimiter)
    frame = _fast(data, header, delimiter, null_values)
    if frame is not None:
        return Raw(file=file, frame=frame, form="text")
    return _slow(file, data, header, delimiter, null_values)


def _header(file: str, data: bytes, delimiter: str) -> list[str]:
    start = data[:_HEADER_BYTES].decode("utf-8-sig", errors="replace")
    try:
        header = next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        msg = f"{file} is not CSV: {error}."
        raise SourceUnreadable(msg) from error
    if not header:
        msg = f"{file} has no header. Expected the names of the columns in the first line."
        raise SourceUnreadable(msg)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        msg = f"{file} has two columns named {twice[0]!r}. Rename one of them."
        raise SourceUnreadable(msg)
    return header


def _fast(data: bytes, header: list[str], delimiter: str, null_values: Sequence[str]) -> pl.DataFrame | None:
    """Read with Polars, or return None where the file is not certainly regular."""
    try:
        frame = pl.read_csv(
            data, separator=delimiter, infer_schema=False, null_values=[v for v in null_values if v] or None
        )
    except pl.exceptions.PolarsError:
        return None
    if frame.columns != header:
        return None
    quoted = b'"' in data
    if (
        frame.height
        and frame[header[-1]].null_count()
        and not _is_regular(data, frame, delimiter, quoted=quoted)
    ):
        return None
    if quoted:
        frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return frame


def _is_regular(data: bytes, frame: pl.DataFrame, delimiter: str, *, quoted: bool) -> bool:
    """Whether no row is short: Polars fills short rows and blank lines with nulls, and refuses long ones."""
    expected = (frame.height + 1) * (frame.width - 1)
    return not quoted and frame.width > 1 and data.count(delimiter.encode()) == expected


def _slow(file: str, data: bytes, header: list[str], delimiter: str, null_values: Sequence[str]) -> Raw:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{file} is not UTF-8: byte {error.start} is {data[error.start]:#04x}. Write the file in UTF-8."
        raise SourceUnreadable(msg) from error
    nulls = {"", *null_values}
    rows: list[list[str | None]] = []
    broken: dict[int, str] = {}
    csv.field_size_limit(_LONGEST_CELL)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        next(lines)
        for cells in filter(None, lines):
            if len(cells) != len(header):
                broken[len(rows) + 1] = f"has {len(cells)} cells; expected {len(header)}: {', '.join(header)}"
            padded = cells[: len(header)] + [""] * (len(header) - len(cells))
            rows.append([None if cell in nulls else cell for cell in padded])
    except csv.Error as error:
        msg = f"{file} is not whole: {error} (after row {len(rows)}). Land the file again."
        raise SourceUnreadable(msg) from error
    frame = pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row")
    return Raw(file=file, frame=frame, form="text", broken=broken)
