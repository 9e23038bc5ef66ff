"""The metrics that a training logs, as a file of JSON lines that only grows.

A line that a killed process left half written is passed over, so a run that goes on goes on in the same file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec
import polars as pl

#: The columns of a history as a frame.
COLUMNS = {"name": pl.String(), "step": pl.Int64(), "value": pl.Float64(), "at": pl.Datetime("us", "UTC")}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one metric; a value that is no finite number is None."""

    name: str
    value: float | None
    step: int | None = None
    at: datetime


class History:
    """Writes one run's metrics; made anew by each attempt."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("ab+") as file:
            if file.seek(0, os.SEEK_END) and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                file.write(b"\n")

    def append(self, point: Point) -> None:
        """Write a point down; it is in the file when this returns, though not yet flushed to the disk."""
        with self._path.open("ab", buffering=0) as file:
            file.write(msgspec.json.encode(point) + b"\n")


def parse(data: bytes) -> list[Point]:
    """Return the points of a file's bytes, in the order in which they were logged."""
    points = []
    for line in data.splitlines():
        try:
            points.append(msgspec.json.decode(line, type=Point))
        except msgspec.DecodeError:  # torn by a kill
            continue
    return points


def frame_of(points: Iterable[Point]) -> pl.DataFrame:
    """Return points as a frame: for each metric and step the value that was logged last."""
    rows = [(p.name, p.step, math.nan if p.value is None else p.value, p.at) for p in points]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row").with_row_index("_row")
    stepless = frame.filter(pl.col("step").is_null())
    stepped = frame.filter(pl.col("step").is_not_null()).unique(["name", "step"], keep="last")
    return pl.concat([stepped, stepless]).sort("name", "step", "_row", nulls_last=False).drop("_row")


def last_values(points: Iterable[Point]) -> dict[str, float]:
    """Return the last finite value of each metric."""
    return {point.name: point.value for point in points if point.value is not None}
