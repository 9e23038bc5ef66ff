"""The contract of `data/contract` with dataframely: prints the CPU seconds of dividing the rows and telling the reasons."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

import dataframely as dy
import polars as pl

CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
FIRST, LAST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)


class Departure(dy.Schema):
    """What a departure must be."""

    id = dy.Int64(nullable=False, min=0)
    at = dy.Datetime(nullable=False, time_unit="us", time_zone="UTC", min=FIRST, max_exclusive=LAST)
    landed = dy.Datetime(nullable=True, time_unit="us", time_zone="UTC")
    carrier = dy.String(nullable=False, check=lambda cell: cell.is_in(CARRIERS))
    origin = dy.String(nullable=False, check=lambda cell: cell.is_in(["EWR", "JFK", "LGA"]))
    dest = dy.String(nullable=False, regex="^[A-Z]{3}$")
    tailnum = dy.String(nullable=True, min_length=5, max_length=6)
    distance = dy.Int64(nullable=False, min=1, max=6_000)
    hour = dy.Int64(nullable=False, min=0, max=23)
    minute = dy.Int64(nullable=False, min=0, max=59)
    seats = dy.Int64(nullable=True, min=1, max=600)
    delay = dy.Float64(nullable=True, min=-200, max=2_000)
    air_time = dy.Float64(nullable=True, min_exclusive=0, max=900)
    temp = dy.Float64(nullable=False, min=-60, max=130)
    humid = dy.Float64(nullable=False, min=0, max=100)
    wind = dy.Float64(nullable=False, min=0, max=250)
    visib = dy.Float64(nullable=False, min=0, max=10)
    pressure = dy.Float64(nullable=False, min_exclusive=800, max_exclusive=1_200)
    late = dy.Bool(nullable=True)
    cancelled = dy.Bool(nullable=False)

    @dy.rule()
    def elsewhere(cls) -> pl.Expr:  # noqa: N805 - dataframely's own signature
        """Origin and destination differ."""
        return pl.col("origin") != pl.col("dest")

    @dy.rule()
    def lands_later(cls) -> pl.Expr:  # noqa: N805 - dataframely's own signature
        """Time goes on."""
        return pl.col("landed") > pl.col("at")


def main() -> None:
    """Read the file, check a part to warm up, check all of it and say what that took."""
    frame = pl.read_parquet(sys.argv[1])
    for rows in (frame.head(10_000), frame):
        began = time.process_time()
        good, failure = Departure.filter(rows)
        bad, counts = failure.invalid(), failure.counts()
        took = time.process_time() - began
        assert good.height + bad.height == rows.height
        assert counts
    print(json.dumps(took))


if __name__ == "__main__":
    main()
