"""`treadle datasets`: versions, quarantine and profiles of what has landed."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output, upkeep


@click.group("datasets", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the datasets, or look at one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.status().datasets
    if as_json:
        output.as_json(found)
        return
    rows = [(d.name, d.version, d.rows, d.outcomes_known, d.quarantined, d.newest) for d in found]
    output.table(["dataset", "version", "rows", "outcomes", "quarantined", "newest row"], rows)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """List the versions of the dataset NAME: landed = accepted + quarantined in each."""
    with options.workspace(project) as workspace:
        versions = workspace.datasets.versions(name)
        problems = workspace.datasets.problems(name)
        tags = workspace.tags.list(name)
    if as_json:
        output.as_json({"versions": versions, "problems": problems, "tags": tags})
        return
    named = {one.version: one.tag for one in tags}
    output.table(
        [
            "version",
            "at",
            "landed",
            "accepted",
            "corrected",
            "quarantined",
            "repeated",
            "outcomes",
            "rows",
            "tag",
            "why",
        ],
        [
            (
                *(v.version, v.created_at, v.landed, v.accepted, v.corrected, v.quarantined, v.repeated),
                *(v.outcomes, v.rows, named.get(v.version, ""), v.why),
            )
            for v in versions
        ],
    )
    output.warnings(problems)


@command.command("quarantine")
@click.argument("name")
@click.option("--limit", default=20, show_default=True, help="At most this many rows.")
@options.project
@options.as_json
def quarantine(name: str, limit: int, project: Path | None, *, as_json: bool) -> None:
    """Show the rows of the dataset NAME that did not meet its contract, and why."""
    with options.workspace(project) as workspace:
        rows = workspace.datasets.quarantine(name).head(limit)
    if as_json:
        output.as_json(rows.to_dicts())
        return
    shown = rows.select("_file", "_row", "_reason", "_raw").rows()
    output.table(["file", "row", "reason", "values"], shown)


@command.command("profile")
@click.argument("name")
@click.option("--version", type=int, help="Version; the newest by default.")
@options.project
@options.as_json
def profile(name: str, version: int | None, project: Path | None, *, as_json: bool) -> None:
    """Summarise each column of the dataset NAME."""
    with options.workspace(project) as workspace:
        found = workspace.datasets.profile(name, version=version)
    if as_json:
        output.as_json(found)
        return
    click.echo(f"{found.dataset} version {found.version}: {found.rows:,} rows")
    rows = [(c.name, c.dtype, f"{c.missing:.1%}", c.distinct, c.min, c.mean, c.max) for c in found.columns]
    output.table(["column", "type", "missing", "distinct", "min", "mean", "max"], rows)


for _each in upkeep.COMMANDS:
    command.add_command(_each)
