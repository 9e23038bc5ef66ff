"""Tells what happened: stages that must have been, with their delays, and one picture of it all."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from world import Plan, Played, midnight, play

from treadle.core.clock import span_text

mpl.use("Agg")
from matplotlib import dates as mdates
from matplotlib import pyplot as plt

FAULTY, PLAIN, FROZEN = "#b3432b", "#7a7a7a", "#c9a227"
SEVERITY = {"bad-files": "#c2571a", "decayed": "#b3261e", "unproven": "#d08a2e", "stale-outcomes": "#8e4ec6"}


class Unexpected(AssertionError):
    """A stage of the story did not come, or not as it should have."""


@dataclass
class Story:
    """The stages of one scenario, from its cause to its end."""

    name: str
    title: str
    cause: datetime
    stages: list[dict[str, Any]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    def stage(self, name: str, at: datetime, text: str) -> None:
        """Write a stage down, with how long after the cause it came."""
        after = span_text(at - self.cause) if at != self.cause else ""
        self.stages.append({"stage": name, "at": at, "after": after, "text": text})
        late = f" (after {after})" if after else ""
        print(f"\n{name.upper()}  {at:%Y-%m-%d %H:%M}{late}\n  {text}", flush=True)

    def expect(self, holds: object, text: str) -> None:
        """Make sure of something.

        Raises:
            Unexpected: it does not hold.
        """
        if not holds:
            msg = f"{self.name}: expected that {text}."
            raise Unexpected(msg)
        print(f"  ok: {text}", flush=True)


def arguments(what: str) -> argparse.Namespace:
    """Read what the scripts take."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--out", type=Path, help="where the report goes (default: examples/faults/out)")
    parser.add_argument(
        "--short", action="store_true", help="a shorter stretch, as in continuous integration"
    )
    chosen = parser.parse_args()
    chosen.out = (chosen.out or Path(__file__).parent / "out").resolve()
    chosen.out.mkdir(parents=True, exist_ok=True)
    return chosen


def both(plan: Plan, work: Path) -> tuple[Played, Played]:
    """Play a plan with its fault, and once more without it."""
    from dataclasses import replace

    print(f"With the fault, from {plan.broken}:", flush=True)
    faulty = play(plan, work / "faulty")
    print("\nThe same without it:", flush=True)
    plain = play(replace(plan, fault=None, again={}), work / "plain")
    return faulty, plain


def losses(played: Played, endpoint: str = "") -> pl.DataFrame:
    """Return the loss of each answer whose outcome is known: log loss of a probability, else the absolute error."""
    rows = played.answered(endpoint)
    told, true = rows["answer"].cast(pl.Float64), rows["outcome"].cast(pl.Float64)
    if rows["outcome"].dtype == pl.Boolean or set(true.unique()) <= {0.0, 1.0}:
        sure = told.clip(1e-15, 1 - 1e-15)
        loss = -(true * sure.log() + (1 - true) * (1 - sure).log())
    else:
        loss = (told - true).abs()
    return rows.select("day", "key", "version").with_columns(loss=loss).sort("day", "key")


def by_day(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mean loss of each day with its 95 % interval."""
    found = rows.group_by("day").agg(
        pl.len().alias("n"), pl.col("loss").mean(), pl.col("loss").std().alias("sd")
    )
    half = 1.96 * pl.col("sd") / pl.col("n").sqrt()
    return found.with_columns(low=pl.col("loss") - half, high=pl.col("loss") + half).sort("day")


def between(rows: pl.DataFrame, first: date, last: date) -> tuple[float, float, float]:
    """Return the mean loss from one day to another and its 95 % interval, hours of one day taken as one."""
    days = by_day(rows.filter(pl.col("day").is_between(first, last)))["loss"].to_numpy()
    mean = float(rows.filter(pl.col("day").is_between(first, last))["loss"].mean())
    half = 1.96 * float(np.std(days, ddof=1)) / len(days) ** 0.5 if len(days) > 1 else float("inf")
    return mean, mean - half, mean + half


def paired(first: pl.DataFrame, second: pl.DataFrame, since: date, until: date) -> tuple[float, float, float]:
    """Return the mean difference of two losses on the same rows and its 95 % interval, rows of one day taken as one."""
    rows = first.join(second.select("key", other="loss"), on="key").with_columns(
        loss=pl.col("loss") - pl.col("other")
    )
    return between(rows, since, until)


def quiet(plain: Played, story: Story, rules: Sequence[str]) -> None:
    """Make sure that the same project without the fault raised none of some alerts."""
    told = sorted({one.rule for one in plain.told.told.values()} & set(rules))
    story.expect(not told, f"without the fault none of these alerts is raised: {', '.join(rules)}")


def write(story: Story, faulty: Played, plain: Played, out: Path, *, measure: str) -> None:
    """Write the picture and the report."""
    figure = picture(story, faulty, plain, measure=measure)
    for kind in ("svg", "png"):
        figure.savefig(out / f"{story.name}.{kind}", dpi=120)
    plt.close(figure)
    alerts = [vars(one) for one in faulty.told.told.values()]
    told = {"name": story.name, "title": story.title, "stages": story.stages, "numbers": story.numbers}
    found = {**told, "alerts": alerts, "trainings": faulty.looks}
    (out / f"{story.name}.json").write_text(json.dumps(found, indent=2, default=str))
    print(f"\nreport: {out / story.name}.json, picture: {out / story.name}.png", flush=True)


def picture(story: Story, faulty: Played, plain: Played, *, measure: str) -> Any:
    """Draw loss by day, drift by column, and a time line of alerts, trainings and versions."""
    has_drift = bool(faulty.drift)
    heights = [3.4, *([0.3 * len(faulty.plan.columns)] if has_drift else []), 1.7]
    figure, axes = plt.subplots(
        len(heights),
        1,
        figsize=(11, 1.15 * sum(heights) + 0.3),
        height_ratios=heights,
        sharex=True,
        layout="constrained",
    )
    draw_losses(axes[0], story, faulty, plain, measure=measure)
    if has_drift:
        draw_drift(axes[1], faulty)
    draw_time(axes[-1], faulty)
    plan = faulty.plan
    end = midnight(plan.mended or plan.last + timedelta(days=1))
    for axis in axes:
        axis.axvspan(midnight(plan.broken), end, color="#e9b44c", alpha=0.18, linewidth=0, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(midnight(plan.first), midnight(plan.last + timedelta(days=1)))
    axes[-1].xaxis.set_major_locator(mdates.AutoDateLocator(minticks=5, maxticks=12))
    axes[-1].xaxis.set_major_formatter(mdates.DateFormatter("%-d %b"))
    return figure


def draw_losses(axis: Any, story: Story, faulty: Played, plain: Played, *, measure: str) -> None:
    drawn = [("without the fault", PLAIN, losses(plain)), ("with the fault", FAULTY, losses(faulty))]
    if faulty.plan.frozen:
        drawn.insert(1, ("with it, never trained again", FROZEN, losses(faulty, faulty.plan.frozen)))
    for label, colour, rows in drawn:
        days = by_day(rows)
        when = [midnight(day) + timedelta(hours=12) for day in days["day"]]
        axis.fill_between(when, days["low"], days["high"], color=colour, alpha=0.18, linewidth=0)
        axis.plot(when, days["loss"], color=colour, linewidth=2, marker="o", markersize=3.5, label=label)
    axis.set_title(story.title, loc="left", fontsize=12)
    axis.set_ylabel(f"{measure} by day,\n95 % interval")
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False, loc="upper left", fontsize=9)


def draw_drift(axis: Any, faulty: Played) -> None:
    found = pl.DataFrame(faulty.drift).group_by("day", "column").agg(pl.col("effect").max())
    days = sorted(set(found["day"]))
    columns = list(faulty.plan.columns)
    known = {
        (day, column): effect for day, column, effect in found.select("day", "column", "effect").iter_rows()
    }
    cells = np.array([[known.get((day, column), 0.0) for day in days] for column in columns])
    left, right = (mdates.date2num(one) for one in (days[0], days[-1] + timedelta(days=1)))
    shown = axis.imshow(
        cells, aspect="auto", extent=(left, right, len(columns), 0), cmap="OrRd", vmin=0, vmax=1, zorder=1
    )
    axis.set_yticks([place + 0.5 for place in range(len(columns))], columns, fontsize=9)
    axis.set_ylabel("drift:\nrows moved", fontsize=9)
    axis.figure.colorbar(
        shown, ax=axis, pad=0.01, aspect=8, ticks=[0, 0.5, 1], format=lambda x, _: f"{x:.0%}"
    )


def draw_time(axis: Any, faulty: Played) -> None:
    rows: list[str] = []
    now = midnight(faulty.plan.last + timedelta(days=1))
    for told in sorted(faulty.told.told.values(), key=lambda one: one.at):
        label = f"alert {told.rule}"
        if label not in rows:
            rows.append(label)
        span = (told.resolved_at or now) - told.at
        axis.barh(rows.index(label), span, left=told.at, height=0.5, color=SEVERITY.get(told.rule, "#b3261e"))
    if faulty.looks:
        rows.append("trained")
        axis.plot(
            [look["at"] for look in faulty.looks],
            [len(rows) - 1] * len(faulty.looks),
            "^",
            color="#1a6b8f",
            markersize=8,
        )
    rows.append("version that answers")
    served = losses(faulty).group_by("day").agg(pl.col("version").max()).sort("day")
    for number, (version, part) in enumerate(served.group_by("version", maintain_order=True)):
        start, end = midnight(part["day"].min()), midnight(part["day"].max() + timedelta(days=1))
        axis.barh(
            len(rows) - 1,
            end - start,
            left=start,
            height=0.6,
            color="#1a6b8f",
            alpha=0.45 + 0.35 * (number % 2),
        )
        axis.text(
            start + (end - start) / 2,
            len(rows) - 1,
            str(version[0]),
            ha="center",
            va="center",
            color="white",
            fontsize=9,
        )
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.set_ylim(len(rows) - 0.4, -0.6)


def run(what: str, tell: Callable[[argparse.Namespace, Path], None]) -> None:
    """Run a scenario in a folder of its own that is gone afterwards."""
    chosen = arguments(what)
    with tempfile.TemporaryDirectory(prefix="treadle-faults-") as work:
        tell(chosen, Path(work))
