"""The contract of `data/contract` with pandera on Polars: prints the CPU seconds of finding all that fails.

It names the failing cells in an exception; the rows are then divided by their numbers, as one has to.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
FIRST, LAST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")


def _within(low: float, high: float) -> pa.Check:
    return pa.Check.in_range(low, high)


def _differs(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select(pl.col("origin") != pl.col("dest"))


def _lands_later(data: pa.PolarsData) -> pl.LazyFrame:
    return data.lazyframe.select((pl.col("landed") > pl.col("at")).fill_null(value=True))


SCHEMA = pa.DataFrameSchema(
    {
        "id": pa.Column(pl.Int64, pa.Check.ge(0)),
        "at": pa.Column(MOMENT, [pa.Check.ge(FIRST), pa.Check.lt(LAST)]),
        "landed": pa.Column(MOMENT, nullable=True),
        "carrier": pa.Column(pl.String, pa.Check.isin(CARRIERS)),
        "origin": pa.Column(pl.String, pa.Check.isin(["EWR", "JFK", "LGA"])),
        "dest": pa.Column(pl.String, pa.Check.str_matches("^[A-Z]{3}$")),
        "tailnum": pa.Column(pl.String, pa.Check.str_length(5, 6), nullable=True),
        "distance": pa.Column(pl.Int64, _within(1, 6_000)),
        "hour": pa.Column(pl.Int64, _within(0, 23)),
        "minute": pa.Column(pl.Int64, _within(0, 59)),
        "seats": pa.Column(pl.Int64, _within(1, 600), nullable=True),
        "delay": pa.Column(pl.Float64, _within(-200, 2_000), nullable=True),
        "air_time": pa.Column(pl.Float64, [pa.Check.gt(0), pa.Check.le(900)], nullable=True),
        "temp": pa.Column(pl.Float64, _within(-60, 130)),
        "humid": pa.Column(pl.Float64, _within(0, 100)),
        "wind": pa.Column(pl.Float64, _within(0, 250)),
        "visib": pa.Column(pl.Float64, _within(0, 10)),
        "pressure": pa.Column(pl.Float64, [pa.Check.gt(800), pa.Check.lt(1_200)]),
        "late": pa.Column(pl.Boolean, nullable=True),
        "cancelled": pa.Column(pl.Boolean),
    },
    checks=[pa.Check(_differs), pa.Check(_lands_later)],
)


def _divided(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    try:
        SCHEMA.validate(rows, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.select(pl.col("index").cast(pl.UInt32)).drop_nulls().unique()
        numbered = rows.with_row_index("index")
        return numbered.join(cases, on="index", how="anti"), numbered.join(cases, on="index", how="semi")
    return rows, rows.clear()


def main() -> None:
    """Read the file, check a part to warm up, check all of it and say what that took."""
    frame = pl.read_parquet(sys.argv[1])
    for rows in (frame.head(10_000), frame):
        began = time.process_time()
        good, bad = _divided(rows)
        took = time.process_time() - began
        assert good.height + bad.height == rows.height
        assert bad.height
    print(json.dumps(took))


if __name__ == "__main__":
    main()
