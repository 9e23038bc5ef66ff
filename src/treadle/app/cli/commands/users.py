"""`treadle users`: who may use the workspace over the network, and as what."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from treadle.app.cli import options, output
from treadle.core.people import ROLES, Role


@click.group("users", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the users, let one in or take one away. Once there is one, `treadle ui` asks everybody who they are."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.team.members()
    if as_json:
        output.as_json(found)
        return
    output.table(["name", "role", "since"], [(one.name, one.role, one.since) for one in found])


@command.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What they may do."
)
@options.reason
@options.project
@options.as_json
def add(name: str, role: str, reason: str, project: Path | None, *, as_json: bool) -> None:
    """Let NAME use the workspace, or give them another role. The first user has to be an admin."""
    with options.workspace(project) as workspace:
        made = workspace.team.add(name, cast("Role", role), actor=options.user(), reason=reason)
    if as_json:
        output.as_json(made)
        return
    click.echo(f"{made.name} is {made.role}")
    output.note(f"Make a token for them: treadle tokens create laptop --user '{made.name}'")


@command.command("remove")
@click.argument("name")
@options.reason
@options.project
def remove(name: str, reason: str, project: Path | None) -> None:
    """Take NAME's way in away, with their tokens and sessions. It counts at once."""
    with options.workspace(project) as workspace:
        workspace.team.remove(name, actor=options.user(), reason=reason)
    click.echo(f"{name} is no user any more")
