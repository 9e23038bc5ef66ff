"""`treadle runs`: what was executed, with what result, and its log."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.group("runs", invoke_without_command=True)
@click.option("--model", help="Only runs of this model.")
@click.option("--limit", default=20, show_default=True, help="At most this many, newest first.")
@options.project
@options.as_json
@click.pass_context
def command(
    context: click.Context, model: str | None, limit: int, project: Path | None, *, as_json: bool
) -> None:
    """List the runs, newest first, or look at one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.runs.list(model=model, limit=limit)
    if as_json:
        output.as_json(found)
        return
    rows = [(r.id, r.model, r.status, r.started_at, r.model_version, r.error or r.reason) for r in found]
    output.table(["run", "model", "status", "started", "version", "why"], rows)


@command.command("show")
@click.argument("run")
@options.project
@options.as_json
def show(run: str, project: Path | None, *, as_json: bool) -> None:
    """Show one RUN: its data, window, code, metrics, verdicts and, where it failed, the traceback."""
    with options.workspace(project) as workspace:
        found = workspace.runs.get(run)
        verdicts = workspace.verdicts.list(run=run)
    if as_json:
        output.as_json({"run": found, "verdicts": verdicts})
        return
    window = (
        f"{found.window.start:%Y-%m-%d} to {found.window.end:%Y-%m-%d}"
        if found.window and found.window.start
        else "-"
    )
    for label, value in (
        ("model", found.model),
        ("status", found.status),
        ("why", found.reason),
        ("data", ", ".join(f"{name} version {number}" for name, number in found.data.items())),
        ("window", window),
        ("code", f"{found.code.digest} commit {found.code.commit or 'none'}" if found.code else "-"),
        ("attempts", found.attempts),
        ("version", found.model_version or "-"),
    ):
        click.echo(f"{label:10}{value}")
    output.table(["metric", "value"], sorted(found.metrics.items()))
    for verdict in verdicts:
        click.echo(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.gate}: {verdict.reason}")
    if found.error:
        click.secho(output.plain(f"error: {found.error}"), fg="red")
        click.echo(output.plain(found.traceback))


@command.command("log")
@click.argument("run")
@options.project
def log(run: str, project: Path | None) -> None:
    """Print what a RUN's training function wrote to stdout and stderr."""
    with options.workspace(project) as workspace:
        click.echo(workspace.runs.log(run), nl=False)
