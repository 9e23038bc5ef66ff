"""`treadle explain`: why a model was, or was not, trained at a moment."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.clock import utc

if TYPE_CHECKING:
    from treadle.core.records import Decision
    from treadle.loop.whys import Why


@click.command("explain")
@click.argument("model")
@click.option("--at", type=click.DateTime(), help="The moment (UTC), as 2025-03-01T12:00:00; now by default.")
@options.project
@options.as_json
def command(model: str, at: datetime | None, project: Path | None, *, as_json: bool) -> None:
    """Say why MODEL was due, or not, at a moment: each trigger and guard, with the numbers of then."""
    with options.workspace(project) as workspace:
        found = workspace.why(model, at=utc(at) if at else None)
    if as_json:
        output.as_json(found)
    else:
        _print(found)


def _print(found: Why) -> None:
    click.echo(output.plain(f"{found.model} at {found.at:%Y-%m-%d %H:%M:%S} UTC – {found.text}"))
    if found.decision is not None:
        until = f"{found.until:%Y-%m-%d %H:%M:%S} UTC" if found.until else "now"
        click.echo(f"\ndecided at {found.decision.at:%Y-%m-%d %H:%M:%S} UTC; it stayed so until {until}")
        _sentences(found.then or found.decision)
    if not found.same_policy:
        click.echo(
            "\nThe policy was another one than the project declares now: the sentences are those that were kept."
        )
    if found.run is not None:
        run = found.run
        click.echo(
            output.plain(
                f"\nlast run: {run.id}, {run.started_at:%Y-%m-%d %H:%M} UTC, {run.status}: {run.reason}"
            )
        )
    if found.champion is not None:
        move = found.champion
        click.echo(
            output.plain(
                f"champion: version {move.version} since {move.at:%Y-%m-%d %H:%M} UTC, by {move.actor}: {move.reason}"
            )
        )


def _sentences(decision: Decision) -> None:
    for detail in decision.details:
        click.echo(output.plain(f"  {detail}"))
    for told in decision.told:
        click.echo(output.plain(f"  told: {told}"))
