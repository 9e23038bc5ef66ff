"""`treadle trace`: from a prediction back to what it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.app.traced import Trace


@click.command("trace")
@click.argument("prediction")
@click.option("--endpoint", default="", help="Who answered; by default it is looked for in the log of each.")
@options.project
@options.as_json
def command(prediction: str, endpoint: str, project: Path | None, *, as_json: bool) -> None:
    """Follow a PREDICTION's id back to revision, version, run, code, environment, data version, window and rows.

    Example: treadle trace 01k5m0r3t7v9x1z3b5d7f9h1jk-0
    """
    with options.workspace(project) as workspace:
        found = workspace.trace(prediction, endpoint=endpoint)
    if as_json:
        output.as_json(found)
        return
    for label, value in _told(found):
        click.echo(f"{label:12}{output.plain(value)}")
    output.warnings(found.missing, of="")


def _told(found: Trace) -> list[tuple[str, str]]:
    row, run, version = found.prediction, found.run, found.version
    told = [
        ("prediction", f"{row['prediction_id']} at {row['at']:%Y-%m-%d %H:%M:%S} UTC"),
        ("endpoint", f"{row['endpoint']}, variant {row['variant']} ({row['assignment']})"),
        ("revision", f"{row['revision']}" + (f" by {found.revision.actor}" if found.revision else "")),
        ("version", f"{row['model']}/{row['version']}" + (f", {version.digest}" if version else "")),
    ]
    if run is not None:
        told.append(("run", f"{run.id}, started {run.started_at:%Y-%m-%d %H:%M} UTC: {run.reason}"))
        if run.code is not None:
            commit = f", commit {run.code.commit}" if run.code.commit else ""
            told.append(("code", f"{run.code.digest}{commit}"))
        packages = len(found.environment.get("packages", ()))
        told.append(("environment", f"{run.environment}, {packages} packages"))
    told += [("data", f"{one.dataset} version {one.version}, {one.rows:,} rows") for one in found.datasets]
    if version is not None:
        start = f"{version.window.start:%Y-%m-%d}" if version.window.start else "the beginning"
        told.append(("window", f"{start} to {version.window.end:%Y-%m-%d}"))
    if found.rows is not None:
        told.append(("rows", f"trained on {found.rows:,}"))
    return told
