"""The landing of the example: what lands when, against plain loops over the raw files."""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights" / "land.py"


@pytest.fixture(scope="module")
def land() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flights_land", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def landing(land: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    landing = land.Landing(tmp_path_factory.mktemp("landing"))
    for day in landing.days():
        landing.land(day)
    return landing


@pytest.fixture(scope="module")
def raw(land: ModuleType) -> list[dict[str, str]]:
    with zipfile.ZipFile(land._package_folder() / "flights.csv.zip") as archive:
        return list(csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"))))


def rows(landing: Any, name: str) -> list[dict[str, str]]:
    found = []
    for path in sorted((landing.folder / name).glob("*.csv")):
        with path.open() as file:
            found += [{**row, "_day": path.stem} for row in csv.DictReader(file)]
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def flight_id(row: dict[str, str]) -> str:
    day = date(int(row["year"]), int(row["month"]), int(row["day"]))
    return f"{row['carrier']}-{row['flight']}-{row['origin']}-{day}"


def test_every_flight_is_scheduled_once_on_the_day_it_leaves(landing: Any, raw: list[dict[str, str]]) -> None:
    scheduled = rows(landing, "schedule")

    assert len(scheduled) == 336_776
    assert {row["flight_id"] for row in scheduled} == {flight_id(row) for row in raw}
    assert all(row["scheduled_departure"].startswith(row["_day"]) for row in scheduled)


def test_the_schedule_tells_nothing_of_the_flight_itself(landing: Any) -> None:
    assert set(rows(landing, "schedule")[0]) - {"_day"} == {
        *("flight_id", "scheduled_departure", "scheduled_arrival", "carrier", "flight", "origin", "dest"),
        *("distance", "hour", "minute", "month", "day", "weekday"),
    }


def test_scheduled_departure_is_the_local_time_in_new_york(landing: Any, raw: list[dict[str, str]]) -> None:
    scheduled = {row["flight_id"]: moment(row["scheduled_departure"]) for row in rows(landing, "schedule")}
    zone = ZoneInfo("America/New_York")

    for row in random.Random(1).sample(raw, 5_000):
        local = datetime(
            *(int(row[part]) for part in ("year", "month", "day", "hour", "minute")), tzinfo=zone
        )
        assert scheduled[flight_id(row)] == local.astimezone(UTC)


def test_only_flights_that_landed_get_an_outcome(landing: Any, raw: list[dict[str, str]]) -> None:
    delays = {row["flight_id"]: row["arr_delay"] for row in rows(landing, "arrivals")}

    assert delays == {flight_id(row): row["arr_delay"] for row in raw if row["arr_delay"] != "NA"}


def test_an_outcome_arrives_on_the_day_of_landing(landing: Any) -> None:
    arrivals = rows(landing, "arrivals")

    assert all(row["landed_at"].startswith(row["_day"]) for row in arrivals)
    assert all((row["late"] == "true") == (int(row["arr_delay"]) > 15) for row in arrivals)


def test_landed_at_is_the_recorded_local_arrival(
    landing: Any, raw: list[dict[str, str]], land: ModuleType
) -> None:
    zones = dict(land._zones(land._package_folder()).iter_rows())
    landed = {row["flight_id"]: moment(row["landed_at"]) for row in rows(landing, "arrivals")}
    departed = {row["flight_id"]: moment(row["scheduled_departure"]) for row in rows(landing, "schedule")}

    for row in random.Random(2).sample([row for row in raw if row["arr_delay"] != "NA"], 5_000):
        at, left = landed[flight_id(row)], departed[flight_id(row)] + timedelta(minutes=int(row["dep_delay"]))
        local = at.astimezone(ZoneInfo(zones[row["dest"]]))
        assert (local.hour * 100 + local.minute) == int(row["arr_time"]) % 2400
        taxiing = (at - left) - timedelta(minutes=int(row["air_time"]))
        assert timedelta(minutes=5) <= taxiing <= timedelta(minutes=235)


def test_weather_is_known_after_its_hour_was_observed(landing: Any) -> None:
    weather = rows(landing, "weather")

    assert len(weather) == 26_115
    assert len({(row["origin"], row["observed_at"]) for row in weather}) == 26_115
    assert {moment(row["reported_at"]) - moment(row["observed_at"]) for row in weather} == {
        timedelta(minutes=55)
    }
    assert sum(row["wind_gust"] == "" for row in weather) == 20_778


def test_the_board_shows_only_flights_that_have_landed(landing: Any) -> None:
    origins = {row["flight_id"]: row["origin"] for row in rows(landing, "schedule")}
    arrivals: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows(landing, "arrivals"):
        arrivals.setdefault((origins[row["flight_id"]], row["_day"]), []).append(row)

    for shown in random.Random(3).sample(rows(landing, "board"), 60):
        at = moment(shown["observed_at"])
        near = [arrivals.get((shown["origin"], str(day.date())), []) for day in (at - timedelta(days=1), at)]
        seen = [
            row for day in near for row in day if at - timedelta(hours=3) < moment(row["landed_at"]) <= at
        ]
        assert int(shown["landed"]) == len(seen)
        if seen:
            mean = sum(int(row["arr_delay"]) for row in seen) / len(seen)
            assert float(shown["mean_delay"]) == pytest.approx(mean, abs=1e-4)
            share = sum(row["late"] == "true" for row in seen) / len(seen)
            assert float(shown["late_share"]) == pytest.approx(share, abs=1e-4)


def test_landing_a_day_again_changes_nothing(landing: Any) -> None:
    day = date(2013, 7, 1)
    before = {path: path.read_bytes() for path in landing.land(day)}

    again = {path: path.read_bytes() for path in landing.land(day)}

    assert len(before) == 4
    assert again == before
    assert not list(landing.folder.rglob("*.part"))


def test_what_is_announced_and_what_is_reported_make_up_the_day(landing: Any) -> None:
    day = date(2013, 7, 1)

    announced, reported = landing.announce(day), landing.report(day)

    assert [path.parent.name for path in announced] == ["schedule"]
    assert [path.parent.name for path in reported] == ["arrivals", "weather", "board"]
