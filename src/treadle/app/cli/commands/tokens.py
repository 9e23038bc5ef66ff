"""`treadle tokens`: who may ask the prediction server, or be a user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.core.people import Pass
    from treadle.serving.tokens import Token, Tokens


@click.group("tokens", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the tokens, make one or take one away. Servers hear of a change within a second; the team server at once."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found, now = _tokens(workspace).all() or (), workspace.clock.now()
        listed: list[Token | Pass] = [*found, *workspace.team.tokens()]
    if as_json:
        output.as_json([*map(_told, found), *listed[len(found) :]])
        return
    rows = [
        (
            token.name,
            getattr(token, "user", "(server)"),
            ", ".join(token.scopes),
            token.created_at,
            token.expires_at,
            "ended" if token.expires_at and token.expires_at <= now else "",
        )
        for token in listed
    ]
    output.table(["name", "of", "allows", "made", "ends", ""], rows)


@command.command("create")
@click.argument("name")
@click.option(
    "--user",
    default="",
    help="Whose it is, to use the workspace at `treadle ui`; without it, it is for the prediction server.",
)
@click.option("--scope", "scopes", multiple=True,
              help="What it allows; several are possible. Of the prediction server: predict (by default), outcome, metrics, train or admin "
              "(everything). Of a user: a role, or operations as alerts.*; without it, all that the user may.")  # fmt: skip
@click.option("--ends", "after", help="After which time it ends, as 90d; without it never.")
@options.project
@options.as_json
def create(
    name: str, user: str, scopes: tuple[str, ...], after: str | None, project: Path | None, *, as_json: bool
) -> None:
    """Make a token called NAME and print it: only its digest is kept, so it cannot be shown again."""
    from treadle.core.clock import parse_span

    with options.workspace(project) as workspace:
        now = workspace.clock.now()
        ends = now + parse_span(after) if after else None
        if user:
            made = workspace.team.create_token(
                name, user, scopes=scopes, ends=after or "", actor=options.user()
            )
        else:
            scopes = scopes or ("predict",)
            made = _tokens(workspace).create(name, scopes=scopes, at=now, expires_at=ends)
    if as_json:
        output.as_json({"name": name, "token": made, "scopes": scopes, "expires_at": ends})
        return
    click.echo(made)
    output.note(f"This is the token {name!r}. It is not shown again. Send it as: Authorization: Bearer …")


@command.command("revoke")
@click.argument("name")
@click.option("--user", default="", help="Whose it is; without it, it is the prediction server's.")
@options.project
def revoke(name: str, user: str, project: Path | None) -> None:
    """Take the token called NAME away."""
    with options.workspace(project) as workspace:
        if user:
            workspace.team.revoke_token(name, user, actor=options.user())
        else:
            _tokens(workspace).revoke(name)
    click.echo(f"token {name} is revoked")


def _tokens(workspace: Workspace) -> Tokens:
    from treadle.serving.tokens import Tokens

    return Tokens(workspace.root / workspace.settings.serving.tokens)


def _told(token: Token) -> dict[str, object]:
    return {
        "name": token.name,
        "scopes": token.scopes,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
    }
