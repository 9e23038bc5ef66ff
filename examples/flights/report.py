"""The report of the played year: `report.html` (self-contained), the chart as `report.png`, every number in `report.json`."""

from __future__ import annotations

import html
import io
import json
from datetime import datetime, time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import polars as pl

from treadle.evaluation import bootstrap
from treadle.evaluation.verdicts import metric

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"baseline": "#9a8c7a", "frozen": "#c2571a", "fresh": "#1a6b8f"}
LABELS = {
    "baseline": "baseline (late share by carrier)",
    "frozen": "frozen (January's model)",
    "fresh": "fresh (Treadle)",
}


def write(workspace, folder: Path, *, model: str, frozen: str) -> dict:
    """Score the logged predictions and write the three files; return the numbers."""
    rows = scored(workspace, model=model, frozen=frozen)
    numbers = {
        "question": "Will the flight arrive more than 15 minutes late? Asked at scheduled departure.",
        "metric": "log_loss",
        "scored": rows.height,
        "from": rows["departure"].min(),
        "until": rows["departure"].max(),
        "overall": {name: float(rows[f"{name}_loss"].mean()) for name in LABELS},
        "fresh_minus_frozen": interval(rows, "fresh", "frozen"),
        "fresh_minus_baseline": interval(rows, "fresh", "baseline"),
        "weeks": weeks(rows),
        "versions": versions(workspace, model),
        "gates": gates(workspace, model),
        "runs": runs(workspace, model),
        "data": data(workspace),
        "splits": splits(workspace),
    }
    (folder / "report.json").write_text(json.dumps(numbers, indent=2, default=plain))
    figure = chart(numbers)
    figure.savefig(folder / "report.png", dpi=150)
    svg = io.StringIO()
    figure.savefig(svg, format="svg")
    gate_svg = io.StringIO()
    gate_chart(numbers).savefig(gate_svg, format="svg")
    plt.close("all")
    page = html_page(numbers, svg.getvalue(), gate_svg.getvalue())
    (folder / "report.html").write_text(page, encoding="utf-8")
    return numbers


def scored(workspace, *, model: str, frozen: str) -> pl.DataFrame:
    """Return one row a flight that landed: departure, truth, and each contender's log loss."""
    fresh = workspace.answered(model).select("key", "at", "version", "outcome", "baseline", fresh="answer")
    cold = workspace.answered(frozen).select("key", frozen="answer")
    both = fresh.join(cold, on="key", how="inner", validate="1:1")
    loss = metric("log_loss").per_row
    losses = {f"{name}_loss": pl.Series(loss(both["outcome"], both[name])) for name in LABELS}
    return both.with_columns(**losses).rename({"at": "departure"}).sort("departure", "key")


def interval(rows: pl.DataFrame, first: str, second: str) -> dict:
    """Return the paired bootstrap interval of the difference in log loss, whole days drawn together."""
    days = rows["departure"].dt.date().rank("dense").to_numpy()
    found = bootstrap.paired(
        metric("log_loss"),
        rows["outcome"].to_numpy(),
        first=rows[first].to_numpy(),
        second=rows[second].to_numpy(),
        groups=days,
        draws=2000,
        alpha=0.05,
        seed=0,
    )
    return {
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "alpha": 0.05,
        "flights": rows.height,
        "days": int(np.max(days)),
    }


def weeks(rows: pl.DataFrame) -> list[dict]:
    means = [pl.col(f"{name}_loss").mean().alias(name) for name in LABELS]
    return (
        rows.group_by_dynamic("departure", every="1w")
        .agg(pl.len().alias("flights"), *means)
        .rename({"departure": "week"})
        .to_dicts()
    )


def versions(workspace, model: str) -> list[dict]:
    """Return who served when."""
    revisions = workspace.endpoints.revisions(model)
    ends = [revision.created_at for revision in revisions[1:]] + [workspace.clock.now()]
    return [
        {
            "version": revision.variants[0].version,
            "revision": revision.revision,
            "served_from": revision.created_at,
            "served_until": end,
            "trained_until": workspace.models.get(f"{model}/{revision.variants[0].version}").window.end,
            "reason": revision.reason,
        }
        for revision, end in zip(revisions, ends, strict=True)
    ]


def gates(workspace, model: str) -> list[dict]:
    fields = (
        "gate",
        "run",
        "reference",
        "metric",
        "candidate_value",
        "reference_value",
        "difference",
        "low",
        "high",
        "alpha",
        "margin",
        "n",
        "passed",
        "reason",
        "dataset_version",
        "created_at",
    )
    return [{name: getattr(v, name) for name in fields} for v in workspace.verdicts.list(model=model)]


def runs(workspace, model: str) -> list[dict]:
    found = sorted(workspace.runs.list(model=model, limit=1000), key=lambda run: run.started_at)
    return [
        {"run": r.id, "at": r.started_at, "status": r.status, "reason": r.reason, "version": r.model_version}
        for r in found
    ]


def data(workspace) -> dict:
    """Return for each dataset the rows of each version: landed = accepted + quarantined."""
    found = {}
    for name in ("flights", "weather", "board"):
        listed = workspace.datasets.versions(name)
        found[name] = {
            "landed": sum(v.landed for v in listed),
            "accepted": sum(v.accepted for v in listed),
            "quarantined": sum(v.quarantined for v in listed),
            "outcomes": sum(v.outcomes for v in listed),
            "versions": [
                {
                    "version": v.version,
                    "landed": v.landed,
                    "accepted": v.accepted,
                    "quarantined": v.quarantined,
                }
                for v in listed
            ],
        }
    return found


def splits(workspace) -> dict[str, int]:
    rows = workspace.datasets.read("flights", columns=["flight_id", "_split"])
    return dict(sorted(rows.group_by("_split").len().rows()))


def chart(numbers: dict):
    """Draw log loss by week, and below it which version served."""
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(11, 6), height_ratios=[6, 1], sharex=True, layout="constrained"
    )
    when = [week["week"] for week in numbers["weeks"]]
    for name, label in LABELS.items():
        top.plot(when, [w[name] for w in numbers["weeks"]], color=COLOURS[name], label=label, linewidth=2)
    gap = numbers["fresh_minus_frozen"]
    top.set_title(
        f"New York flights, 2013: fresh beats frozen by {-gap['difference']:.4f} log loss "
        f"(95 % interval {-gap['high']:.4f} to {-gap['low']:.4f})"
        if gap["high"] < 0
        else "New York flights, 2013: fresh and frozen cannot be told apart",
        loc="left",
    )
    top.set_ylabel("log loss by week\n(lower is better)")
    top.grid(axis="y", alpha=0.3)
    top.legend(frameon=False, loc="upper right")
    for number, served in enumerate(numbers["versions"]):
        start, end = served["served_from"], served["served_until"]
        bottom.barh(0, end - start, left=start, height=0.8, color="#1a6b8f", alpha=0.45 + 0.35 * (number % 2))
        if (end - start).days >= 8:
            middle = start + (end - start) / 2
            bottom.text(
                middle, 0, str(served["version"]), ha="center", va="center", color="white", fontsize=9
            )
    bottom.set_yticks([0], ["version\nserving"])
    for axis in (top, bottom):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def gate_chart(numbers: dict):
    """Draw the interval of each verdict that compared two models."""
    shown = [gate for gate in numbers["gates"] if gate["difference"] is not None]
    figure, axis = plt.subplots(figsize=(11, 0.9 + 0.22 * len(shown)), layout="constrained")
    for place, gate in enumerate(shown):
        colour = "#2c7a4b" if gate["passed"] else "#b3261e"
        axis.plot([gate["low"], gate["high"]], [place, place], color=colour, linewidth=3)
        axis.plot(gate["difference"], place, "o", color=colour, markersize=5)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(
        range(len(shown)),
        [f"{g['created_at']:%Y-%m-%d} {g['gate']} {g['reference']}" for g in shown],
        fontsize=8,
    )
    axis.invert_yaxis()
    axis.set_xlabel(
        "log loss of the candidate minus that of the reference, with interval (left of zero is better)"
    )
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def html_page(numbers: dict, svg: str, gate_svg: str) -> str:
    overall = numbers["overall"]
    gap = numbers["fresh_minus_frozen"]
    verdict = (
        f"The fresh model beats the frozen one by {-gap['difference']:.4f} "
        f"(95 % interval {-gap['high']:.4f} to {-gap['low']:.4f}, {gap['flights']:,} flights, whole days drawn together)."
        if gap["high"] < 0
        else f"The fresh model does not beat the frozen one: the interval {gap['low']:.4f} to {gap['high']:.4f} holds zero."
    )
    served = table(
        ["version", "served from", "until", "trained on data until"],
        [
            [v["version"], v["served_from"], v["served_until"], v["trained_until"]]
            for v in numbers["versions"]
        ],
    )
    judged = table(
        ["at", "gate", "passed", "in words"],
        [[g["created_at"], g["gate"], "yes" if g["passed"] else "no", g["reason"]] for g in numbers["gates"]],
    )
    landed = table(
        ["dataset", "landed", "accepted", "quarantined", "outcomes"],
        [
            [n, d["landed"], d["accepted"], d["quarantined"], d["outcomes"]]
            for n, d in numbers["data"].items()
        ],
    )
    split = table(["split", "rows"], list(numbers["splits"].items()))
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>A year of flights, kept fresh</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff; }}
figure {{ margin: 1.5rem 0; padding: .5rem; background: #fff; border-radius: .5rem; overflow-x: auto; }}
svg {{ width: 100%; min-width: 40rem; height: auto; }}
.scroll {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-size: .9rem; width: 100%; margin-bottom: 1.5rem; }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top; }}
td {{ overflow-wrap: anywhere; }} td.moment, td.number {{ white-space: nowrap; font-variant-numeric: tabular-nums; }}
.big {{ display: flex; gap: 2.5rem; flex-wrap: wrap; }} .big b {{ display: block; font-size: 1.8rem; }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e8e8e8; background: #161616; }} }}
</style>
<h1>A year of flights, kept fresh</h1>
<p>{html.escape(numbers["question"])} {numbers["scored"]:,} flights that landed, {numbers["from"]:%-d %B %Y} to {numbers["until"]:%-d %B %Y}.
Log loss, lower is better:</p>
<p class="big"><span><b>{overall["fresh"]:.4f}</b>fresh</span><span><b>{overall["frozen"]:.4f}</b>frozen</span>
<span><b>{overall["baseline"]:.4f}</b>baseline</span></p>
<p>{html.escape(verdict)}</p>
<figure>{svg[svg.index("<svg") :]}</figure>
<h2>What the gates said</h2><figure>{gate_svg[gate_svg.index("<svg") :]}</figure><div class="scroll">{judged}</div>
<h2>Who served when</h2><div class="scroll">{served}</div>
<h2>Rows</h2><div class="scroll">{landed}{split}</div>
</html>
"""


def table(headings: list[str], rows: list) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td{look(cell)}>{html.escape(text(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def look(value: object) -> str:
    if isinstance(value, datetime):
        return ' class="moment"'
    return ' class="number"' if isinstance(value, int) else ""


def text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if value.time() == time.min else f"{value:%Y-%m-%d %H:%M}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    msg = f"{value!r} cannot be written as JSON."
    raise TypeError(msg)
