"""`treadle endpoints`: who answers, and how that changed."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.group("endpoints", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the endpoints, or do something with one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = [workspace.endpoints.get(name) for name in workspace.endpoints.names()]
    if as_json:
        output.as_json(found)
        return
    rows = [
        (r.endpoint, r.revision, ", ".join(f"{v.model}/{v.version} {v.weight:.0%}" for v in r.variants))
        for r in found
    ]
    output.table(["endpoint", "revision", "answers with"], rows)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """List the revisions of the endpoint NAME, and what its servers have loaded."""
    with options.workspace(project) as workspace:
        revisions = workspace.endpoints.revisions(name)
        servers = workspace.endpoints.states(name)
    if as_json:
        output.as_json({"revisions": revisions, "servers": servers})
        return
    rows = [
        (
            r.revision,
            r.created_at,
            ", ".join(f"{v.model}/{v.version} {v.weight:.0%}" for v in r.variants),
            r.actor,
            r.reason,
        )
        for r in revisions
    ]
    output.table(["revision", "at", "answers with", "by", "why"], rows)
    click.echo()
    output.table(
        ["server", "revision", "refused", "why", "at"],
        [(s.server, s.revision, s.refused, s.error, s.at) for s in servers],
    )


@command.command("set")
@click.argument("name")
@click.argument("version")
@options.reason
@options.project
@options.as_json
def set_(name: str, version: str, reason: str, project: Path | None, *, as_json: bool) -> None:
    """Let the endpoint NAME answer with VERSION (as delay/3 or delay@champion); a new endpoint is made."""
    with options.workspace(project) as workspace:
        revision = workspace.point(name, version, reason=reason)
    if as_json:
        output.as_json(revision)
    else:
        click.echo(f"endpoint {name} is at revision {revision.revision}")
