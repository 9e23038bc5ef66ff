"""`treadle models`: versions, aliases, and who answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import explaining, importing, options, output

if TYPE_CHECKING:
    from treadle.loop.approvals import Approval


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


command.add_command(importing.command)
command.add_command(explaining.command)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """List the versions of the model NAME, and how its aliases moved."""
    with options.workspace(project) as workspace:
        versions = workspace.models.versions(name)
        history = workspace.models.history(name)
        approvals = workspace.approvals.list(name)
    if as_json:
        output.as_json({"versions": versions, "history": history, "approvals": approvals})
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
    if approvals:
        click.echo()
        output.table(
            ["waited since", "version", "now", "by", "at", "why"],
            [(a.asked_at, a.version, a.state, a.actor or None, a.decided_at, a.why) for a in approvals],
        )


@command.command("card")
@click.argument("version")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default MODEL-VERSION-card.html in this folder.",
)
@click.option("--open", "show_it", is_flag=True, help="Show the page in the browser.")
@options.project
@options.as_json
def card(version: str, out: Path | None, project: Path | None, *, show_it: bool, as_json: bool) -> None:
    """Write the card of VERSION (as delay@champion): data, scores, gates, code, environment, lineage, known limits.

    The page is one HTML file that needs nothing else, and runs nothing. With --json what it says is printed, and a page is
    written only where --out says so.

    Example: treadle models card delay@champion --open
    """
    from treadle.app.card.page import page

    with options.workspace(project) as workspace:
        found = workspace.card(version)
    target = out or Path(f"{found.version.model}-{found.version.version}-card.html")
    if out is not None or not as_json:
        output.write(target, page(found))
    if as_json:
        output.as_json(found)
        return
    click.echo(f"{found.version.model}/{found.version.version}")
    for limit in found.limits:
        click.echo(f"  {output.plain(limit)}")
    click.echo(f"Wrote {target}")
    if show_it:
        click.launch(str(target.resolve()))


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


@command.command("approve")
@click.argument("version")
@options.decision
@options.project
@options.as_json
def approve(version: str, reason: str, by: str | None, project: Path | None, *, as_json: bool) -> None:
    """Approve VERSION (as delay/7), which passed its gates and waits; then happens what the policy says.

    Example: treadle models approve delay/7 --reason "the new carriers look right"
    """
    with options.workspace(project) as workspace:
        done = workspace.approve(version, reason=reason, actor=by or options.user())
    _told(done, as_json=as_json)


@command.command("reject")
@click.argument("version")
@options.decision
@options.project
@options.as_json
def reject(version: str, reason: str, by: str | None, project: Path | None, *, as_json: bool) -> None:
    """Say no to VERSION (as delay/7), which passed its gates and waits; who answers stays as it is."""
    with options.workspace(project) as workspace:
        done = workspace.reject(version, reason=reason, actor=by or options.user())
    _told(done, as_json=as_json)


def _told(done: Approval, *, as_json: bool) -> None:
    if as_json:
        output.as_json(done)
    else:
        click.echo(f"{done.model}/{done.version} is {done.state} by {output.plain(done.actor)}")
