"""`treadle check`: what is configured, whether it answers, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("check")
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """Look at settings, stores, the project file and optional libraries. Exits with 1 when something is wrong."""
    with options.workspace(project) as workspace:
        found = workspace.check()
    if as_json:
        output.as_json(found)
    else:
        for check in found:
            mark = click.style("ok  ", fg="green") if check.ok else click.style("FAIL", fg="red")
            click.echo(f"{mark}  {check.what}: {check.said}")
    if not all(check.ok for check in found):
        context.exit(1)
