"""`treadle mirror`: send what trackers do not show yet, or fetch a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.errors import NotFound

if TYPE_CHECKING:
    from treadle.loop.mirroring import Mirrored

_UNAVAILABLE = 5


@click.group("mirror", invoke_without_command=True)
@click.option(
    "--again", is_flag=True, help="Look for everything that was ever sent, and send what is missing."
)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, again: bool, as_json: bool) -> None:
    """Send what MLflow (MLFLOW_TRACKING_URI) does not show yet, and OpenLineage events (OPENLINEAGE_URL). Repeat it as you like.

    `treadle run` and `treadle watch` do the same by the way, for some seconds; this goes on until all is sent. It exits
    with 5 when the server does not answer.
    """
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.mirror(again=again)
    if not found:
        msg = "No mirror is configured. Set MLFLOW_TRACKING_URI to an MLflow server, or OPENLINEAGE_URL to one that takes events."
        raise NotFound(msg)
    if as_json:
        output.as_json(found)
    else:
        for one in found:
            _print(one)
    if any(one.error for one in found):
        context.exit(_UNAVAILABLE)


@command.command("fetch")
@click.argument("reference")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to; it must not exist yet.",
)
@click.option("--allow-code", is_flag=True, help="Also a model that runs stored code wherever it is read.")
@options.project
@options.as_json
def fetch(reference: str, out: Path, project: Path | None, *, allow_code: bool, as_json: bool) -> None:
    """Write the files of REFERENCE (as models:/delay@champion) in MLflow's registry into a folder. Nothing of it is run.

    Example: treadle mirror fetch models:/delay@champion --out delay-champion
    """
    with options.workspace(project) as workspace:
        found = workspace.fetch(reference, to=out, allow_code=allow_code)
    if as_json:
        told = ("reference", "version", "place", "run", "flavour", "runs_code", "data", "tags")
        output.as_json({**{name: getattr(found, name) for name in told}, "files": sorted(found.files)})
        return
    click.echo(f"{reference} is version {found.version} at {found.place}, stored as {found.flavour}")
    click.echo(
        f"Wrote {len(found.files)} files to {out}"
        + (f"; the model is {out / found.data}" if found.data else "")
    )


def _print(found: Mirrored) -> None:
    click.echo(f"{found.place}: {found.sent} sent, {found.waiting} to be sent")
    output.warnings(found.refused, of="  refused: ")
    if found.error:
        output.note(found.error)
