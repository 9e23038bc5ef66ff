"""JSON lines: one object a line; a line that is not one is a broken row."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from treadle.core.errors import SourceUnreadable
from treadle.data.raw import Raw

_INT64 = 2**63
_LONGEST_SHOWN = 80


def parse(file: str, data: bytes) -> Raw:
    """Return every row; the columns are all keys that occur, in the order in which they first do.

    Raises:
        SourceUnreadable: not one line is a JSON object.
    """
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    rows, broken = objects(lines, longest=_LONGEST_SHOWN)
    if broken and len(broken) == len(rows):
        msg = f"{file} is not JSON lines: line 1 {broken[1]}. Expected one object a line."
        raise SourceUnreadable(msg)
    return raw_of(file, rows, broken=broken)


def raw_of(file: str, rows: list[dict[str, Any]], *, broken: dict[int, str]) -> Raw:
    """Return objects as landed rows; the columns are all keys that occur, in the order in which they first do."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: list[pl.Series] = []
    mixed = set()
    for name in names:
        values = [row.get(name) for row in rows]
        series = _series(name, values)
        if series is None:
            mixed.add(name)
            series = pl.Series(name, [_text(value) for value in values], dtype=pl.String)
        columns.append(series)
    frame = pl.DataFrame(columns) if columns else pl.DataFrame(height=len(rows))
    return Raw(file=file, frame=frame, form="json", mixed=frozenset(mixed), broken=broken)


def objects(lines: list[bytes], *, longest: int) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """Return the object in each text, empty for one that is none, and the reasons of these with their first characters."""
    try:
        rows = msgspec.json.Decoder(list[dict[str, Any]]).decode(b"[" + b",".join(lines) + b"]")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _one_by_one(lines, longest)
    return (rows, {}) if len(rows) == len(lines) else _one_by_one(lines, longest)


def _one_by_one(lines: list[bytes], longest: int) -> tuple[list[dict[str, Any]], dict[int, str]]:
    rows: list[dict[str, Any]] = []
    broken: dict[int, str] = {}
    decoder = msgspec.json.Decoder(dict[str, Any])
    for line in lines:
        try:
            rows.append(decoder.decode(line))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            rows.append({})
            shown = line[:longest].decode(errors="replace")
            broken[len(rows)] = f"{shown!r} is not a JSON object: {error}"
    return rows, broken


def _series(name: str, values: list[Any]) -> pl.Series | None:
    """Return a column of one JSON type, or None where its cells are of several."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(name, values, dtype=pl.Null)
    if kinds == {str}:
        return pl.Series(name, values, dtype=pl.String)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and all(-_INT64 <= value < _INT64 for value in values if value is not None):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds == {float}:
        return pl.Series(name, values, dtype=pl.Float64)
    return None


def _text(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
