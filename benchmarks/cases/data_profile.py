"""CPU of the profile of a file with its page, against one pass that counts, DuckDB's summary and ydata-profiling."""

from __future__ import annotations

from pathlib import Path

import departures
import profiles
from harness import Benchmark, Peer, cpu_of

#: ydata-profiling holds all rows in pandas: it gets a tenth of them.
FEWER = 10


def prepare(folder: Path, quick: bool) -> Path:
    """Write 10,000,000 rows of 20 columns, and a tenth of them beside."""
    rows = 100_000 if quick else departures.ROWS
    frame = departures.make(rows)
    frame.write_parquet(folder / "departures.parquet", row_group_size=500_000)
    frame.gather_every(FEWER).write_parquet(folder / "fewer.parquet")
    return folder


def ours(folder: Path) -> float:
    """Profile all rows and make the page."""
    return cpu_of(lambda: profiles.profiled(folder / "departures.parquet"))


def floor(folder: Path) -> float:
    """Count missing values, bounds, means and deviations, and nothing else."""
    return cpu_of(lambda: profiles.described(folder / "departures.parquet"))


BENCHMARK = Benchmark(
    title="10,000,000 rows of 20 columns are profiled: distributions, associations, leaks, and the page",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        # Counts, bounds, quantiles and different values only.
        "DuckDB SUMMARIZE": Peer(
            script="duckdb_profile.py",
            packages=("duckdb==2.*",),
            arguments=lambda folder: [str(folder / "departures.parquet")],
        ),
        "ydata-profiling, a tenth of the rows": Peer(
            script="ydata_profile.py",
            packages=("ydata-profiling==4.*", "pyarrow"),
            arguments=lambda folder: [str(folder / "fewer.parquet")],
        ),
    },
    floors=6,
    ahead={"DuckDB SUMMARIZE": 2, "ydata-profiling, a tenth of the rows": 3},
    rounds=3,
)
