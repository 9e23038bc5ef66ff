"""CPU of a point-in-time join of two views, against bare Polars `join_asof` and pandas `merge_asof`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

import treadle as td
from harness import Benchmark, Peer, cpu_of
from treadle.features.join import join

ENTITIES = 1_000


@dataclass
class Input:
    """Rows to be joined, and the rows of two views, also as files for the peers."""

    folder: Path
    spine: pl.DataFrame
    views: list[pl.DataFrame]


def prepare(folder: Path, quick: bool) -> Input:
    """Make 1,000,000 rows and two views of 300,000 values for 1,000 entities, over a year."""
    rows = 10_000 if quick else 1_000_000
    random = np.random.default_rng(0)
    spine = _rows(random, rows).with_columns(x=pl.Series(random.random(rows)))
    views = [
        _rows(random, rows * 3 // 10)
        .unique(["entity", "at"], maintain_order=True)
        .rename({"at": "observed_at"})
        .with_columns(pl.lit(0.5).alias(f"{name}_a"), pl.col("entity").cast(pl.Float64).alias(f"{name}_b"))
        .sort("observed_at")
        for name in ("first", "second")
    ]
    for name, frame in zip(("spine", "first", "second"), [spine, *views], strict=True):
        frame.write_parquet(folder / f"{name}.parquet")
    return Input(folder, spine, views)


def _rows(random: np.random.Generator, rows: int) -> pl.DataFrame:
    at = pl.Series(random.integers(0, 31_536_000, rows) * 1_000_000).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"entity": random.integers(0, ENTITIES, rows), "at": at})


def ours(given: Input) -> float:
    """Join both views; any order of the rows is kept."""
    views = [
        td.FeatureView(
            name,
            source=td.Files(f"{name}/*.parquet"),
            entity="entity",
            time="observed_at",
            ttl="7d",
            fields=[f"{name}_a", f"{name}_b"],
        )
        for name in ("first", "second")
    ]
    return cpu_of(lambda: join(given.spine, list(zip(views, given.views, strict=True)), time="at"))


def floor(given: Input) -> float:
    """Sort and join with bare Polars, and bring the rows back into their order."""

    def work() -> None:
        joined = given.spine.with_row_index().sort("at")
        for view in given.views:
            joined = joined.join_asof(
                view,
                left_on="at",
                right_on="observed_at",
                by="entity",
                tolerance=timedelta(days=7),
                check_sortedness=False,
            )
        assert joined.sort("index").height == given.spine.height

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="1,000,000 rows get the latest values of two views as of their time, at most seven days old",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "pandas merge_asof": Peer(
            script="pandas_join.py",
            packages=("pandas==3.*", "pyarrow"),
            arguments=lambda given: [str(given.folder)],
        )
    },
    floors=2,
)
