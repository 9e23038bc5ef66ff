"""Fault 1: an upstream column turns to nulls. The airports' boards send no delays for four days, and then all of them.

python examples/faults/nulls.py            about a minute; writes examples/faults/out/nulls.png and .json
"""

from __future__ import annotations

import argparse
from datetime import date, timedelta
from pathlib import Path

import story
from world import Frames, Plan, midnight

BROKEN, MENDED = date(2013, 5, 8), date(2013, 5, 12)
COLUMNS = ("late_share", "mean_delay", "temp", "distance")


def nulls(files: Frames) -> Frames:
    """Empty two columns of the boards' files."""
    board = {
        day: rows.with_columns(late_share=None, mean_delay=None) if BROKEN <= day < MENDED else rows
        for day, rows in files["board"].items()
    }
    return {**files, "board": board}


def tell(chosen: argparse.Namespace, work: Path) -> None:
    """Play it, make sure of each stage, and write the report."""
    plan = Plan(
        project="nulls",
        model="delay",
        history=date(2013, 4, 15 if chosen.short else 8),
        first=date(2013, 5, 6 if chosen.short else 4),
        last=date(2013, 5, 14 if chosen.short else 18),
        fault=nulls,
        broken=BROKEN,
        mended=MENDED,
        columns=COLUMNS,
    )
    faulty, plain = story.both(plan, work)
    told = story.Story(
        "nulls", "A column of the boards is empty for four days: the files are left out", midnight(BROKEN)
    )
    told.stage("cause", told.cause, "late_share and mean_delay of the board are empty in every file")

    (alert,) = faulty.told.of("bad-files")
    told.stage("detection", alert.at, alert.text)
    told.expect(alert.subject == "dataset:board", "the alert names the feature view")
    told.expect(
        "late_share has no value in" in alert.text and str(BROKEN) in alert.text,
        "it names column, rows and file",
    )
    told.expect(
        alert.at == midnight(BROKEN + timedelta(days=1)), "it comes with the first look after the file"
    )

    left_out = sorted({one["text"].partition(":")[0] for one in faulty.problems})
    told.stage(
        "action", alert.at, f"{len(left_out)} files are left out; other feeds go on: {', '.join(left_out)}"
    )
    with faulty.workspace as workspace:
        found = workspace.datasets.read("board", columns=["observed_at", "late_share"])
        share = found["late_share"].null_count() / found.height
        last = workspace.datasets.read("flights", columns=["scheduled_departure"])[
            "scheduled_departure"
        ].max()
    told.expect(len(left_out) == (MENDED - BROKEN).days, "each empty file is left out, and no other")
    told.expect(share < 0.1, f"no empty day is in the dataset ({share:.1%} without a value, as at any time)")
    told.expect(last.date() >= plan.last, "flights and weather were taken in all the time")

    told.expect(alert.resolved_at is not None, "the alert ends by itself")
    told.stage("recovery", alert.resolved_at, "the first whole file was taken in; the alert has ended")
    told.expect(
        alert.resolved_at == midnight(MENDED + timedelta(days=1)),
        "it ends with the first look after that file",
    )
    compare(told, faulty, plain, plan)
    story.quiet(plain, told, ["bad-files", "decayed", "unproven", "stuck", "failed-run"])
    plain.workspace.close()
    story.write(told, faulty, plain, chosen.out, measure="log loss")


def compare(told: story.Story, faulty: story.Played, plain: story.Played, plan: Plan) -> None:
    """Make sure that answers were worse for want of the values, and no longer are."""
    spans = {
        "before": (plan.first, BROKEN - timedelta(days=1)),
        "broken": (BROKEN, MENDED - timedelta(days=1)),
        "after": (MENDED, plan.last),
    }
    found = {
        name: {
            who: story.between(story.losses(played), *span)
            for who, played in (("fault", faulty), ("plain", plain))
        }
        for name, span in spans.items()
    }
    told.numbers["log_loss"] = found
    for name, one in found.items():
        print(
            f"  log loss {name}: {one['fault'][0]:.4f} with the fault, {one['plain'][0]:.4f} without",
            flush=True,
        )
    told.expect(
        found["broken"]["fault"][0] > found["broken"]["plain"][0],
        "answers were worse while the values were missing",
    )
    told.expect(
        found["after"]["fault"][0] <= found["after"]["plain"][2],
        "afterwards the loss is within the interval of what it is without the fault",
    )


if __name__ == "__main__":
    story.run(__doc__.partition("\n")[0], tell)
