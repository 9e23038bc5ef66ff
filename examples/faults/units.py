"""Fault 2: a unit changes. Stations with new software send the temperature in °C for a week, and say nothing of it.

python examples/faults/units.py            about a minute; writes examples/faults/out/units.png and .json
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import story
from world import Frames, Plan, midnight

from land import _by_day, _package_folder, _weather

BROKEN, MENDED = date(2013, 7, 16), date(2013, 7, 23)
COLUMNS = ("temp", "dewp", "pressure", "wind_speed", "visib")


@cache
def weather() -> Frames:
    """Return what the stations send, and what is read from the hygrometers a day later."""
    rows = _weather(_package_folder()).rename({"observed_at": "at"})
    hours = rows.select("origin", "at", *COLUMNS)
    read = rows.drop_nulls("humid").select(
        "origin", "at", "humid", read_at=pl.col("at") + pl.duration(days=1)
    )
    return {"hours": _by_day(hours, "at"), "read": _by_day(read, "read_at")}


def celsius(files: Frames) -> Frames:
    """Send the temperature in °C until the station is mended."""
    told = ((pl.col("temp") - 32) / 1.8).round(1)
    hours = {
        day: rows.with_columns(temp=told) if BROKEN <= day < MENDED else rows
        for day, rows in files["hours"].items()
    }
    return {**files, "hours": hours}


def tell(chosen: argparse.Namespace, work: Path) -> None:
    """Play it, make sure of each stage, and write the report."""
    plan = Plan(
        project="units",
        model="humidity",
        history=date(2013, 5, 15),
        first=date(2013, 7, 14 if chosen.short else 13),
        last=date(2013, 7, 26 if chosen.short else 28),
        fault=celsius,
        broken=BROKEN,
        mended=MENDED,
        columns=COLUMNS,
        rows="hours",
        key=("origin", "at"),
        time="at",
        world=weather,
    )
    faulty, plain = story.both(plan, work)
    told = story.Story(
        "units",
        "A station sends °C in place of °F for a week: drift with proof of harm trains anew",
        midnight(BROKEN),
    )
    told.stage("cause", told.cause, "temp comes in °C; every value is one that the contract allows")
    (warning,) = faulty.told.of("unproven")[:1]
    told.stage("detection", warning.at, warning.text)
    told.expect(
        "temp" in warning.text and f"since {BROKEN}" in warning.text,
        "the alert names the column, its rows and since when",
    )
    told.expect(
        warning.at == midnight(BROKEN + timedelta(days=1)),
        "it comes with the first look, before any outcome is known",
    )

    (alert, *_) = faulty.told.of("decayed")
    told.stage("proof", alert.at, alert.text)
    told.expect(alert.at <= midnight(BROKEN + timedelta(days=4)), "outcomes prove the harm within four days")

    first = faulty.looks[0]
    told.stage("action", first["at"], f"{first['reason']}: {first['came']}. {' '.join(first['verdicts'])}")
    told.expect(first["at"] == alert.at, "the training begins at the same look, with no hand on it")
    told.expect("is the champion" in first["came"], "what it makes passes the gates and answers")
    told.numbers["trainings"] = len(faulty.looks)

    last = plan.last - timedelta(days=1)
    fresh, usual = story.losses(faulty), story.losses(plain)
    found = {
        "without the fault": story.between(usual, plan.first, last),
        "broken, first two days": story.between(fresh, BROKEN, BROKEN + timedelta(days=1)),
        "broken, last three days": story.between(
            fresh, MENDED - timedelta(days=3), MENDED - timedelta(days=1)
        ),
        "mended": story.between(fresh, MENDED, last),
    }
    told.numbers["absolute_error"] = found
    for name, one in found.items():
        print(f"  error {name}: {one[0]:.2f} ({one[1]:.2f} to {one[2]:.2f})", flush=True)
    told.expect(
        found["broken, last three days"][0] < found["broken, first two days"][0] / 2,
        "while the fault lasts, what is trained halves the harm",
    )
    told.stage(
        "recovery",
        midnight(MENDED),
        "the station sends °F again; the model has learnt both, and nobody had to do anything",
    )
    told.expect(
        found["mended"][0] <= story.between(usual, MENDED, last)[2] + 1,
        "the error is what it is without the fault, within its interval and one point of humidity",
    )
    told.expect(
        all(one.resolved_at for one in faulty.told.told.values()), "all alerts have ended by themselves"
    )
    story.quiet(plain, told, ["unproven", "decayed", "bad-files", "stuck", "failed-run"])
    faulty.workspace.close()
    plain.workspace.close()
    story.write(told, faulty, plain, chosen.out, measure="absolute error (% humidity)")


if __name__ == "__main__":
    story.run(__doc__.partition("\n")[0], tell)
