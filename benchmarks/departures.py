"""Departures of a year, twenty columns wide, with a contract for them: as Treadle checks it and as one writes it by hand.

Run as a program it prints the peak of the memory, in MiB, that reading the rows and checking them takes:

    python benchmarks/departures.py ours|by_hand|read FILE
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

ROWS = 10_000_000
#: One row in a thousand breaks one of six demands.
BAD = 0.001
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
ORIGINS = ["EWR", "JFK", "LGA"]
DESTINATIONS = ["IAH", "MIA", "BQN", "ATL", "ORD", "FLL", "IAD", "MCO", "PBI", "TPA", "LAX", "SFO"]
FIRST, LAST = datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Divided:
    """Good rows, and bad ones with the reason."""

    good: pl.DataFrame
    bad: pl.DataFrame


def make(rows: int) -> pl.DataFrame:
    """Return rows of twenty columns, six of them with bad cells."""
    random = np.random.default_rng(0)
    at = pl.Series(random.integers(0, 31_536_000, rows) * 1_000_000 + 1_356_998_400_000_000)
    frame = pl.DataFrame(
        {
            "id": np.arange(rows),
            "at": at.cast(pl.Datetime("us", "UTC")),
            "landed": (at + pl.Series(random.integers(1_000_000, 36_000_000_000, rows))).cast(
                pl.Datetime("us", "UTC")
            ),
            "carrier": _words(random, CARRIERS, rows),
            "origin": _words(random, ORIGINS, rows),
            "dest": _words(random, DESTINATIONS, rows),
            "tailnum": _words(random, [f"N{number}XX" for number in range(100, 900)], rows),
            "distance": random.integers(1, 6_000, rows),
            "hour": random.integers(0, 24, rows),
            "minute": random.integers(0, 60, rows),
            "seats": random.integers(1, 600, rows),
            "delay": random.normal(5, 20, rows),
            "air_time": random.uniform(1, 800, rows),
            "temp": random.normal(50, 10, rows),
            "humid": random.uniform(0, 100, rows),
            "wind": random.uniform(0, 60, rows),
            "visib": random.uniform(0, 10, rows),
            "pressure": random.normal(1010, 10, rows),
            "late": random.random(rows) < 0.24,
            "cancelled": random.random(rows) < 0.02,
        }
    )
    return _spoilt(frame, random)


def _words(random: np.random.Generator, words: list[str], rows: int) -> pl.Series:
    return pl.Series(words)[random.integers(0, len(words), rows)]


def _spoilt(frame: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """Return the rows with nulls where they are legal, and bad cells where they are not."""
    rows = frame.height
    spoils = {"distance": -1, "hour": 24, "wind": -0.5, "carrier": "??", "dest": "lax", "temp": 999.0}
    changes = [
        pl.when(pl.Series(random.random(rows) < BAD / len(spoils)))
        .then(pl.lit(value, dtype=frame.schema[name]))
        .otherwise(name)
        .alias(name)
        for name, value in spoils.items()
    ]
    nulls = [
        pl.when(pl.Series(random.random(rows) > 0.02)).then(name).alias(name)
        for name in ("landed", "tailnum", "seats", "delay", "air_time", "late")
    ]
    return frame.with_columns(*changes, *nulls)


def ours(frame: pl.DataFrame) -> Divided:
    """Check the rows as an ingestion does."""
    import treadle as td
    from treadle.data.checks import check
    from treadle.data.contracts import raw_frame

    class Departure(td.Contract):
        """What `by_hand` demands."""

        id: int = td.Column(ge=0)
        at: datetime = td.Column(ge=FIRST, lt=LAST)
        landed: datetime | None
        carrier: str = td.Column(allowed=CARRIERS)
        origin: str = td.Column(allowed=ORIGINS)
        dest: str = td.Column(pattern="[A-Z]{3}")
        tailnum: str | None = td.Column(min_length=5, max_length=6)
        distance: int = td.Column(ge=1, le=6_000)
        hour: int = td.Column(ge=0, le=23)
        minute: int = td.Column(ge=0, le=59)
        seats: int | None = td.Column(ge=1, le=600)
        delay: float | None = td.Column(ge=-200, le=2_000)
        air_time: float | None = td.Column(gt=0, le=900)
        temp: float = td.Column(ge=-60, le=130)
        humid: float = td.Column(ge=0, le=100)
        wind: float = td.Column(ge=0, le=250)
        visib: float = td.Column(ge=0, le=10)
        pressure: float = td.Column(gt=800, lt=1_200)
        late: bool | None
        cancelled: bool

        @td.rule("it goes somewhere else")
        def elsewhere(self) -> pl.Expr:
            """Origin and destination differ."""
            return pl.col("origin") != pl.col("dest")

        @td.rule("it lands after it departs")
        def lands_later(self) -> pl.Expr:
            """Time goes on."""
            return pl.col("landed") > pl.col("at")

    done = check(raw_frame(frame, file="departures"), Departure.spec(), rules=Departure.rules())
    return Divided(done.good, done.bad)


def by_hand(frame: pl.DataFrame) -> Divided:
    """Check the rows as one would who knows Polars well and these rows only."""
    tests = _tests()
    counts = frame.select((~test).sum().alias(name) for name, test in tests.items()).row(0, named=True)
    failing = {name: (~tests[name]).fill_null(value=False) for name, count in counts.items() if count}
    if not failing:
        return Divided(frame, frame.clear())
    masks = frame.select(test.alias(name) for name, test in failing.items())
    bad = masks.select(pl.any_horizontal(pl.all())).to_series()
    reasons = masks.filter(bad).select(
        pl.concat_str(
            [pl.when(name).then(pl.lit(name)) for name in failing], separator="; ", ignore_nulls=True
        ).alias("_reason")
    )
    return Divided(frame.filter(~bad), pl.concat([reasons, frame.filter(bad)], how="horizontal"))


def _tests() -> dict[str, pl.Expr]:
    """Return what each cell and row must be, by what to say of the others."""
    col = pl.col
    whole = ["id", "at", "carrier", "origin", "dest", "distance", "hour", "minute", "temp", "humid", "wind"]
    ranges = {
        "seats": (1, 600),
        "distance": (1, 6_000),
        "hour": (0, 23),
        "minute": (0, 59),
        "delay": (-200.0, 2_000.0),
        "temp": (-60.0, 130.0),
        "humid": (0.0, 100.0),
        "wind": (0.0, 250.0),
        "visib": (0.0, 10.0),
    }
    numbers = ["delay", "air_time", "temp", "humid", "wind", "visib", "pressure"]
    return {
        **{f"{name} is null": col(name).is_not_null() for name in [*whole, "visib", "pressure", "cancelled"]},
        **{f"{name} is not finite": col(name).is_finite() for name in numbers},
        **{
            f"{name} is not in {low}..{high}": col(name).is_between(low, high)
            for name, (low, high) in ranges.items()
        },
        "id is negative": col("id") >= 0,
        "at is of another year": (col("at") >= FIRST) & (col("at") < LAST),
        "carrier is unknown": col("carrier").is_in(CARRIERS),
        "origin is unknown": col("origin").is_in(ORIGINS),
        "dest is no code": col("dest").str.contains("^[A-Z]{3}$"),
        "tailnum is too short": col("tailnum").str.len_chars() >= 5,
        "tailnum is too long": col("tailnum").str.len_chars() <= 6,
        "air_time is out of range": (col("air_time") > 0) & (col("air_time") <= 900),
        "pressure is out of range": (col("pressure") > 800) & (col("pressure") < 1_200),
        "it goes nowhere": col("origin") != col("dest"),
        "it lands before it departs": col("landed") > col("at"),
    }


def main() -> None:
    """Read the file, check its rows, and say how much memory that took at most."""
    how, file = sys.argv[1:]
    frame = pl.read_parquet(file)
    done = {"ours": ours, "by_hand": by_hand, "read": lambda rows: Divided(rows, rows.clear())}[how](frame)
    assert done.good.height + done.bad.height == frame.height
    status = Path("/proc/self/status").read_text()
    print(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024)


if __name__ == "__main__":
    main()
