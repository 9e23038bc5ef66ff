"""Fault 4: outcomes stop coming. The feed of arrivals fails for six days, and then sends everything that it owes.

python examples/faults/outcomes.py         about a minute; writes examples/faults/out/outcomes.png and .json
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import story
from world import Plan, days, midnight

BROKEN, MENDED = date(2013, 10, 8), date(2013, 10, 14)


def tell(chosen: argparse.Namespace, work: Path) -> None:
    """Play it, make sure of each stage, and write the report."""
    plan = Plan(
        project="outcomes",
        model="delay",
        history=date(2013, 9, 10),
        first=date(2013, 10, 4),
        last=date(2013, 10, 18),
        broken=BROKEN,
        mended=MENDED,
        # What was to come on the days of the fault comes on the first day after it.
        again={("arrivals", day): MENDED for day in days(BROKEN, MENDED - timedelta(days=1))},
    )
    faulty, plain = story.both(plan, work)
    told = story.Story(
        "outcomes",
        "No outcome comes for six days: a person is told, and quality is estimated",
        midnight(BROKEN),
    )
    told.stage("cause", told.cause, "the feed of arrivals sends nothing; flights, weather and boards go on")
    (alert,) = faulty.told.of("stale-outcomes")
    told.stage("detection", alert.at, alert.text)
    told.expect(
        alert.at <= midnight(BROKEN + timedelta(days=2)),
        "it comes as soon as the promise of two days is broken",
    )
    told.expect(
        "none is known" in alert.text and "treadle estimate delay" in alert.text,
        "it counts the rows and says how to go on",
    )

    with faulty.workspace as workspace:
        stretches = workspace.estimate("delay", window="", every="1d", against=1)
        dark = [one for one in stretches if one.metric == "log_loss" and BROKEN <= one.start.date() < MENDED]
        held = [one for one in faulty.looks if BROKEN < one["at"].date() <= MENDED]
        why = workspace.why("delay", at=midnight(MENDED))
        told.stage("action", midnight(MENDED), f"nothing is trained on nothing: {why.text}")
        told.expect(not held, "no training is made while nothing new can be learnt")
        told.expect(len(dark) >= (MENDED - BROKEN).days - 1, "for each dark day the quality was estimated")
        inside = [one for one in dark if one.realised is not None and one.low <= one.realised <= one.high]
        told.numbers["dark"] = [
            {
                "day": one.start.date(),
                "estimated": one.estimated,
                "low": one.low,
                "high": one.high,
                "really": one.realised,
            }
            for one in dark
        ]
        for one in dark:
            print(
                f"  {one.start:%Y-%m-%d} estimated {one.estimated:.3f} ({one.low:.3f} to {one.high:.3f}), really {one.realised:.3f}",
                flush=True,
            )
        told.numbers["estimates_that_held"] = f"{len(inside)} of {len(dark)}"

        told.expect(
            alert.resolved_at == midnight(MENDED + timedelta(days=1)),
            "the alert ends by itself at the first look after outcomes came",
        )
        caught = (
            workspace.answered("delay")
            .filter(pl.col("at").dt.date().is_between(BROKEN, MENDED - timedelta(days=1)))
            .height
        )
        after = [look for look in faulty.looks if look["at"].date() > MENDED]
        told.stage(
            "recovery",
            alert.resolved_at,
            f"{caught:,} answers of the dark days got their outcome, and the model was trained on what it had missed",
        )
        told.expect(caught > 4_000, "answers of the dark days are scored")
        told.expect(
            after and after[0]["at"] == alert.resolved_at, "the training that was due is made at once"
        )
    compare = {
        who: story.between(story.losses(played), MENDED, plan.last - timedelta(days=1))
        for who, played in (("fault", faulty), ("plain", plain))
    }
    told.numbers["log_loss_after"] = compare
    told.expect(
        compare["fault"][0] <= compare["plain"][2],
        "afterwards the loss is within the interval of what it is without the fault",
    )
    story.quiet(plain, told, ["stale-outcomes", "stale-data", "bad-files", "stuck", "failed-run"])
    plain.workspace.close()
    story.write(told, faulty, plain, chosen.out, measure="log loss")


if __name__ == "__main__":
    story.run(__doc__.partition("\n")[0], tell)
