"""CPU of splitting rows by a stable hash of text, against the bare hash of the same plug-in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import polars_hash  # noqa: F401 - adds the namespace `nchash`

from harness import Benchmark, cpu_of
from treadle.core.hashing import seed_of
from treadle.core.records import SplitSpec
from treadle.data.splits import assign

SPEC = SplitSpec(
    scheme="xxh64-v1", salt="flights", columns=("key",), train_below=8_000, validation_below=9_000
)


def prepare(folder: Path, quick: bool) -> pl.DataFrame:
    """Make 5,000,000 different keys of text."""
    rows = 50_000 if quick else 5_000_000
    return pl.DataFrame({"key": pl.Series(np.arange(rows)).cast(pl.String) + "-N14228"})


def ours(frame: pl.DataFrame) -> float:
    """Assign bucket and split."""
    return cpu_of(lambda: assign(frame, SPEC))


def floor(frame: pl.DataFrame) -> float:
    """Do no more than hash, and name the part."""
    bucket = (pl.col("key").nchash.xxhash64(seed=seed_of("flights")) % 10_000).cast(pl.Int16)
    split = (
        pl.when(bucket < SPEC.train_below)
        .then(pl.lit("train"))
        .when(bucket < SPEC.validation_below)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("test"))
    )
    return cpu_of(lambda: frame.with_columns(_bucket=bucket, _split=split))


BENCHMARK = Benchmark(
    title="5,000,000 keys of text are divided into train, validation and test",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.3,
)
