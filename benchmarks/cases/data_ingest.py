"""CPU of ingesting CSV files, against Polars reading and delta-rs writing the same rows unchecked."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from deltalake import write_deltalake

import treadle as td
from harness import Benchmark, cpu_of
from treadle.core.clock import SystemClock
from treadle.data.datasets import Datasets
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

CARRIERS = ["AA", "B6", "DL", "EV", "UA", "US"]
FILES = 20


class Flight(td.Contract):
    """A row with each usual type, a range, a list of values and a rule."""

    flight_id: int
    scheduled_departure: datetime
    carrier: str = td.Column(allowed=CARRIERS)
    origin: str
    dest: str
    distance: int = td.Column(ge=1, le=6000)
    temp: float | None
    late: bool | None

    @td.rule("a flight goes somewhere else")
    def goes_somewhere(self) -> pl.Expr:
        """Origin and destination differ."""
        return pl.col("origin") != pl.col("dest")


@dataclass
class Input:
    """CSV files, and an empty place for each sample."""

    landing: Path
    work: Path
    rows: int
    samples: int = 0

    def fresh(self) -> Path:
        """Return an empty folder; the one before is removed."""
        shutil.rmtree(self.work / str(self.samples), ignore_errors=True)
        self.samples += 1
        folder = self.work / str(self.samples)
        folder.mkdir(parents=True)
        return folder


def prepare(folder: Path, quick: bool) -> Input:
    """Write the files: 1,000,000 rows in 20 files."""
    rows = 20_000 if quick else 1_000_000
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "flight_id": np.arange(rows),
            "scheduled_departure": pl.Series(np.sort(random.integers(0, 31_536_000, rows)) * 1_000_000).cast(
                pl.Datetime("us", "UTC")
            ),
            "carrier": random.choice(CARRIERS, rows),
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "dest": random.choice(["IAH", "MIA", "ATL", "ORD", "LAX"], rows),
            "distance": random.integers(80, 5000, rows),
            "temp": pl.Series(random.normal(50, 20, rows).round(2)).set(
                pl.Series(random.random(rows) < 0.01), None
            ),
            "late": random.random(rows) < 0.24,
        }
    )
    landing = folder / "landing"
    landing.mkdir()
    for number, part in enumerate(frame.iter_slices(-(-rows // FILES))):
        part.write_csv(landing / f"{number:02}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    return Input(landing, folder / "work", rows)


def ours(given: Input) -> float:
    """Ingest: types, contract, key, split, ledger."""
    root = given.fresh()
    dataset = td.Dataset(
        "flights",
        source=td.Files(f"{given.landing}/*.csv"),
        contract=Flight,
        key="flight_id",
        time="scheduled_departure",
        outcome="late",
        split=td.HashSplit(train=0.8, validation=0.1, test=0.1),
    )
    with Ledger.open("sqlite:///ledger.db", root=root) as ledger:
        tables = Tables.open("tables", root=root, options={})
        datasets = Datasets(ledger=ledger, tables=tables, clock=SystemClock(), root=root)

        def work() -> None:
            version = datasets.ingest(dataset)
            assert version is not None
            assert version.accepted == given.rows

        return cpu_of(work)


def floor(given: Input) -> float:
    """Read with known types and write, nothing checked."""
    target = given.fresh() / "table"
    types = {"temp": pl.Float64, "scheduled_departure": pl.Datetime("us", "UTC")}

    def work() -> None:
        frame = pl.read_csv(given.landing / "*.csv", schema_overrides=types)
        assert frame.height == given.rows
        write_deltalake(target, frame)

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="1,000,000 rows in 20 CSV files become a dataset version: read, checked, split, committed",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=3,
)
