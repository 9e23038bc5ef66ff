"""`treadle replay`: what a policy would have done over the history."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.clock import utc

if TYPE_CHECKING:
    from treadle.loop.replay import Replay


@click.command("replay")
@click.argument("model")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="First day; by default the first of the data."
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day; by default the last of the data.")
@click.option("--step", default="1d", show_default=True, help="How often the policy looks.")
@options.project
@options.as_json
def command(
    model: str,
    since: datetime | None,
    until: datetime | None,
    step: str,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """Walk the history of MODEL with only what was known at each moment. It trains, and registers nothing."""
    with options.workspace(project) as workspace:
        found = workspace.replay(
            model, since=utc(since) if since else None, until=utc(until) if until else None, step=step
        )
    if as_json:
        output.as_json(found)
    else:
        _print(found)


def _print(found: Replay) -> None:
    for training in found.trainings:
        said = "released" if training.passed else "turned down"
        click.echo(f"{training.at:%Y-%m-%d}  trained on {training.rows:,} rows, {said} – {training.reason}")
    names = list(found.loss)
    click.echo(f"\n{found.metric} by week, on rows that came after each training:")
    output.table(
        ["week", "rows", *names], [(w.start, w.rows, *(w.loss.get(n) for n in names)) for w in found.weeks]
    )
    summary = ", ".join(f"{name} {value:.4f}" for name, value in found.loss.items())
    click.echo(f"\nover all: {summary or 'nothing was released, so nothing could be scored'}")
