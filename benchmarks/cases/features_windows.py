"""Windowed aggregates as of each row's time, against Polars' and DuckDB's windows over rows and events together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import treadle as td
from harness import Benchmark, Peer, cpu_of
from treadle.features.join import join

SPANS = ("1h", "1d", "7d")


@dataclass
class Input:
    """Rows that ask, and events, also as files for the peer."""

    folder: Path
    rows: pl.DataFrame
    events: pl.DataFrame


def prepare(folder: Path, quick: bool) -> Input:
    """Make 1,000,000 rows and 1,000,000 payments of 10,000 cards over a year."""
    size = 10_000 if quick else 1_000_000
    chance = np.random.default_rng(0)

    def moments(name: str) -> dict[str, pl.Series]:
        at = pl.Series(np.sort(chance.integers(0, 31_536_000, size)) * 1_000_000)
        return {
            "card": pl.Series(chance.integers(0, max(size // 100, 1), size)),
            name: at.cast(pl.Datetime("us", "UTC")),
        }

    rows = pl.DataFrame(moments("t"))
    events = pl.DataFrame({**moments("at"), "amount": np.round(chance.lognormal(3, 2, size), 2)})
    rows.write_parquet(folder / "rows.parquet")
    events.write_parquet(folder / "events.parquet")
    return Input(folder, rows, events)


def ours(given: Input) -> float:
    """Join nine aggregates."""
    made = {f"n_{span}": td.aggregates.Count(over=span) for span in SPANS}
    made |= {f"spent_{span}": td.aggregates.Sum("amount", over=span) for span in SPANS}
    made |= {f"most_{span}": td.aggregates.Max("amount", over=span) for span in SPANS}
    view = td.FeatureView("payments", source=td.Files("*.parquet"), entity="card", time="at", aggregates=made)
    return cpu_of(lambda: join(given.rows, [(view, given.events)], time="t"))


def floor(given: Input) -> float:
    """Roll over rows and events together, card by card, and pick the rows; sums are rounded at each step."""

    def work() -> None:
        asked = given.rows.rename({"t": "at"}).with_row_index("row")
        asked = asked.with_columns(amount=pl.lit(None, dtype=pl.Float64), event=pl.lit(0))
        events = given.events.with_columns(
            row=pl.lit(None, dtype=asked.schema["row"]), event=pl.lit(1)
        ).select(asked.columns)
        both = pl.concat([asked, events]).sort("at")
        rolled = []
        for span in SPANS:
            rolled += [
                pl.col("event").rolling_sum_by("at", span, closed="both").over("card").alias(f"n_{span}"),
                pl.col("amount")
                .rolling_sum_by("at", span, closed="both")
                .over("card")
                .alias(f"spent_{span}"),
                pl.col("amount").rolling_max_by("at", span, closed="both").over("card").alias(f"most_{span}"),
            ]
        found = both.with_columns(rolled).filter(pl.col("row").is_not_null()).sort("row")
        assert found.height == given.rows.height

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="1,000,000 rows get count, sum and maximum of their card's payments of the last hour, day and week",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "duckdb windows": Peer(
            script="duckdb_windows.py", packages=("duckdb==2.*",), arguments=lambda given: [str(given.folder)]
        )
    },
    floors=1,
    rounds=3,
)
