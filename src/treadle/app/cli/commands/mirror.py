"""`treadle mirror`: send what trackers elsewhere do not show yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.errors import NotFound

if TYPE_CHECKING:
    from treadle.loop.mirroring import Mirrored

_UNAVAILABLE = 5


@click.command("mirror")
@click.option(
    "--again", is_flag=True, help="Look for everything that was ever sent, and send what is missing."
)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, again: bool, as_json: bool) -> None:
    """Send runs, versions, aliases and cards that MLflow (MLFLOW_TRACKING_URI) does not show yet. Repeat it as you like.

    `treadle run` and `treadle watch` do the same by the way, for some seconds; this goes on until all is sent. It exits
    with 5 when the server does not answer.
    """
    with options.workspace(project) as workspace:
        found = workspace.mirror(again=again)
    if not found:
        msg = "No mirror is configured. Set MLFLOW_TRACKING_URI to the address of an MLflow server."
        raise NotFound(msg)
    if as_json:
        output.as_json(found)
    else:
        for one in found:
            _print(one)
    if any(one.error for one in found):
        context.exit(_UNAVAILABLE)


def _print(found: Mirrored) -> None:
    click.echo(f"{found.place}: {found.sent} sent, {found.waiting} to be sent")
    output.warnings(found.refused, of="  refused: ")
    if found.error:
        output.note(found.error)
