"""`treadle slo`: what is promised, and what is left of the error budgets."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output, slos


@click.command("slo")
@click.argument("name", required=False)
@options.project
@options.as_json
def command(name: str | None, project: Path | None, *, as_json: bool) -> None:
    """Show how the SLOs of the project stand, or the one called NAME: what was good, what is left, how fast it burns."""
    from treadle.core.errors import not_found

    with options.workspace(project) as workspace:
        found = workspace.promises.standings()
    if name is not None:
        known = [one.slo for one in found]
        found = [one for one in found if one.slo == name]
        if not found:
            raise not_found("SLO", name, known)
    if as_json:
        output.as_json(found)
        return
    if not found:
        click.echo(
            "no SLO is declared: td.slos.Availability(endpoint=..., objective=0.999) in the project's file"
        )
    slos.shown(found, windows=True)
