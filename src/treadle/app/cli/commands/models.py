"""`treadle models`: versions, aliases, and who answers."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.group("models", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the models, or do something with one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        names = workspace.models.names()
        rows = [(n, len(workspace.models.versions(n)), workspace.models.aliases(n)) for n in names]
    if as_json:
        output.as_json(
            [{"model": name, "versions": count, "aliases": aliases} for name, count, aliases in rows]
        )
        return
    shown = [
        (name, count, ", ".join(f"{a}={v}" for a, v in sorted(aliases.items())))
        for name, count, aliases in rows
    ]
    output.table(["model", "versions", "aliases"], shown)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """List the versions of the model NAME, and how its aliases moved."""
    with options.workspace(project) as workspace:
        versions = workspace.models.versions(name)
        history = workspace.models.history(name)
    if as_json:
        output.as_json({"versions": versions, "history": history})
        return
    output.table(
        ["version", "made", "format", "bytes", "trained until", "run"],
        [(v.version, v.created_at, v.format, v.size, v.window.end, v.run) for v in versions],
    )
    click.echo()
    output.table(
        ["at", "alias", "version", "by", "why"],
        [(a.at, a.alias, a.version, a.actor, a.reason) for a in history],
    )


@command.command("promote")
@click.argument("version")
@options.reason
@options.project
@options.as_json
def promote(version: str, reason: str, project: Path | None, *, as_json: bool) -> None:
    """Make VERSION (as delay/3) the champion and let its endpoint answer with it. Also the way back."""
    with options.workspace(project) as workspace:
        revision = workspace.promote(version, reason=reason)
    if as_json:
        output.as_json(revision)
    else:
        click.echo(
            f"{version} is the champion; endpoint {revision.endpoint} is at revision {revision.revision}"
        )
