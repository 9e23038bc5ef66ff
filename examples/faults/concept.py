"""Fault 3: the concept drifts. Works close a runway at JFK each afternoon; the schedule says nothing of it.

python examples/faults/concept.py          about two minutes; writes examples/faults/out/concept.png and .json
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import story
from world import Frames, Plan, midnight

from land import _by_day

BROKEN = date(2013, 10, 8)
#: From this hour on (local time) flights from JFK lose so many minutes.
HOUR, MINUTES = 13, 40


def works(files: Frames) -> Frames:
    """Let flights that leave JFK in the afternoon land later; whatever else is known stays as it is."""
    schedule = pl.concat(files["schedule"].values()).select(
        "flight_id", "origin", "hour", "scheduled_departure"
    )
    arrivals = pl.concat(files["arrivals"].values())
    hit = (
        (pl.col("origin") == "JFK")
        & (pl.col("hour") >= HOUR)
        & (pl.col("scheduled_departure").dt.date() >= BROKEN)
    )
    minutes = pl.when(hit).then(MINUTES).otherwise(0)
    late = arrivals.join(schedule, on="flight_id", how="left", maintain_order="left").with_columns(
        arr_delay=(pl.col("arr_delay") + minutes).cast(pl.Int64),
        landed_at=pl.col("landed_at") + pl.duration(minutes=minutes),
    )
    told = (
        late.with_columns(late=pl.col("arr_delay") > 15)
        .select(arrivals.columns)
        .sort("landed_at", "flight_id")
    )
    return {**files, "arrivals": _by_day(told, "landed_at")}


def tell(chosen: argparse.Namespace, work: Path) -> None:
    """Play it, make sure of each stage, and write the report."""
    plan = Plan(
        project="concept",
        model="delay",
        history=date(2013, 9, 10),
        first=date(2013, 10, 4),
        last=date(2013, 10, 18),
        fault=works,
        broken=BROKEN,
        columns=("hour", "origin", "late_share", "temp"),
        frozen="frozen",
    )
    faulty, plain = story.both(plan, work)
    told = story.Story(
        "concept",
        "Afternoon flights from JFK arrive 40 minutes later: what inputs look like does not change",
        midnight(BROKEN),
    )
    told.stage("cause", told.cause, f"flights that leave JFK after {HOUR}:00 arrive {MINUTES} minutes later")
    (alert, *_) = faulty.told.of("decayed")
    told.stage("detection", alert.at, alert.text)
    told.expect(
        "log_loss of version 1 is" in alert.text,
        "the alert says by which metric, on how many answers, since when",
    )
    told.expect(alert.at <= midnight(BROKEN + timedelta(days=4)), "it comes within four days")

    passed = [look for look in faulty.looks if "is the champion" in look["came"]]
    told.expect(passed, "a training follows, and what it makes passes the gates")
    first = passed[0]
    told.stage("action", first["at"], f"{first['came']}. {' '.join(first['verdicts'])}")
    told.numbers["trainings"], told.numbers["promoted"] = len(faulty.looks), len(passed)

    last = plan.last - timedelta(days=1)
    since = first["at"].date()
    fresh, frozen = story.losses(faulty), story.losses(faulty, plan.frozen)
    found = {
        "before": story.between(fresh, plan.first, BROKEN - timedelta(days=1)),
        "broken": story.between(fresh, BROKEN, since - timedelta(days=1)),
        "after, kept fresh": story.between(fresh, since, last),
        "after, never trained again": story.between(frozen, since, last),
        "after, without the fault": story.between(story.losses(plain), since, last),
    }
    told.numbers["log_loss"] = found
    for name, one in found.items():
        print(f"  log loss {name}: {one[0]:.4f} ({one[1]:.4f} to {one[2]:.4f})", flush=True)
    difference = story.paired(fresh, frozen, since, last)
    told.numbers["fresh_minus_frozen"] = difference
    told.stage(
        "recovery",
        first["at"],
        f"kept fresh, the loss is {-difference[0]:.3f} lower than never trained again ({-difference[2]:.3f} to {-difference[1]:.3f})",
    )
    told.expect(difference[2] < 0, "the difference is certain")
    told.expect(alert.resolved_at is not None, "the alert has ended by itself, as another version answers")
    story.quiet(plain, told, ["decayed", "unproven", "stale-outcomes", "bad-files", "stuck", "failed-run"])
    faulty.workspace.close()
    plain.workspace.close()
    story.write(told, faulty, plain, chosen.out, measure="log loss")


if __name__ == "__main__":
    story.run(__doc__.partition("\n")[0], tell)
