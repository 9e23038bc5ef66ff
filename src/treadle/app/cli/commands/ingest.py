"""`treadle ingest`: read what is new from the sources."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("ingest")
@click.argument("dataset", required=False)
@options.project
@options.as_json
def command(dataset: str | None, project: Path | None, *, as_json: bool) -> None:
    """Read new rows of one DATASET, or of all. Running it again changes nothing."""
    with options.workspace(project) as workspace:
        found = workspace.ingest(dataset)
        problems = {name: workspace.datasets.problems(name) for name in found}
    if as_json:
        output.as_json({"versions": found, "problems": problems})
        return
    if not found:
        output.note("The project declares no dataset. Add one to the project file with td.Dataset(...).")
    for name, version in found.items():
        if version is None:
            click.echo(f"{name}: nothing new")
        else:
            said = f"version {version.version}: {version.accepted:,} accepted, {version.quarantined:,} quarantined"
            more = f", {version.outcomes:,} outcomes" if version.outcomes else ""
            click.echo(f"{name}: {said}{more}, {version.rows:,} rows in all")
        output.warnings(problems[name], of="  ")
