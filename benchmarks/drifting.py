"""The rows, the reference and the bare scan of the benchmarks of drift; as a command: the memory of one comparison.

python benchmarks/drifting.py compare|load reference window.parquet     # MiB of the process, at its peak and with the rows
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.random import default_rng

from treadle.monitoring.drift import Drift, compare
from treadle.monitoring.reference import Reference, build, from_bytes, to_bytes
from treadle.monitoring.summaries import Numeric

REFERENCE = 1_000_000


@dataclass(frozen=True)
class Prepared:
    """A stored reference, a window, and the files of both for peers."""

    reference: Reference
    stored: Path
    window: pl.DataFrame
    file: Path
    #: A tenth of the reference's rows.
    learnt: Path


def prepare(folder: Path, *, rows: int, reference: int, numbers: int = 30, categories: int = 20) -> Prepared:
    """Make a reference of some rows and a window of others, in which nothing has changed."""
    random = default_rng(3)
    rows_learnt = frame(reference, random, numbers=numbers, categories=categories)
    stored, file, learnt = folder / "reference", folder / "window.parquet", folder / "learnt.parquet"
    stored.write_bytes(to_bytes(build({"input": rows_learnt})))
    rows_learnt.gather_every(10).write_parquet(learnt)
    window = frame(rows, random, numbers=numbers, categories=categories)
    window.write_parquet(file)
    return Prepared(from_bytes(stored.read_bytes()), stored, window, file, learnt)


def frame(rows: int, random: np.random.Generator, *, numbers: int = 30, categories: int = 20) -> pl.DataFrame:
    """Return columns of numbers (normal, exponential, counts) and of categories with 4 to 80 values."""
    kinds = (
        random.standard_normal,
        random.standard_exponential,
        lambda size: random.poisson(3, size).astype(np.float64),
    )
    columns = {f"n{place}": pl.Series(kinds[place % 3](rows)) for place in range(numbers)}
    for place in range(categories):
        values = 4 + 4 * (place % 20)
        shares = np.cumsum(1 / np.arange(1, values + 1))
        codes = np.minimum(np.searchsorted(shares / shares[-1], random.random(rows)), values - 1).astype(
            np.uint32
        )
        columns[f"c{place}"] = pl.Series([f"v{value}" for value in range(values)])[codes]
    return pl.DataFrame(columns)


def compared(reference: Reference, window: pl.DataFrame) -> Drift:
    """Compare as `treadle drift` does."""
    found = compare(
        reference, {"input": window}, version="model/1", source="rows", at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert len(found.findings) == 3 * window.width
    return found


def scanned(reference: Reference, window: pl.DataFrame) -> int:
    """Scan the window barely: sort numbers and cut them at the reference's edges, count categories by value, and no test at all."""
    seen = 0
    for series in window:
        column = reference.columns["input"][series.name]
        if isinstance(column, Numeric):
            seen += len(np.searchsorted(np.sort(series.to_numpy()), column.edges))
        else:
            seen += series.value_counts().height
        seen += series.null_count()
    return seen


def _memory(what: str) -> float:
    """Return a line of this process's memory in MiB: `VmRSS` is what it has now, `VmHWM` the most it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


if __name__ == "__main__":
    rows = pl.read_parquet(sys.argv[3])
    reference = from_bytes(Path(sys.argv[2]).read_bytes())
    compared(reference, rows.head(1_000))
    Path("/proc/self/clear_refs").write_text("5")  # from here on, the most that it had counts anew
    held = _memory("VmRSS")
    if sys.argv[1] == "compare":
        compared(reference, rows)
    print(_memory("VmHWM") if sys.argv[1] == "compare" else held)
