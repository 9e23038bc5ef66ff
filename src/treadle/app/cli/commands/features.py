"""`treadle features`: feature views in the online store, and how fresh they are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from treadle.app.cli import options, output


@click.group("features", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the feature views: how many entities the online store has, how old the newest value is, what is missing."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.online.freshness()
    if as_json:
        output.as_json(found)
        return
    output.table(
        ["view", "entities", "newest value", "age", "materialised until", "version", "behind"],
        [
            (one.view, one.entities, one.newest, output.span(one.age), one.until, one.version, one.behind)
            for one in found
        ],
    )
    for problem in dict.fromkeys(one.problem for one in found if one.problem):
        click.secho(problem, fg="yellow")


@command.command("materialise")
@click.argument("view", required=False)
@click.option(
    "--until", type=click.DateTime(), help="Only what could be seen at this moment (UTC); now by default."
)
@click.option("--again", is_flag=True, help="Write everything anew, also what is there.")
@options.project
@options.as_json
def materialise(
    view: str | None, until: datetime | None, project: Path | None, *, again: bool, as_json: bool
) -> None:
    """Bring what is new in VIEW, or in every feature view, into the online store."""
    with options.workspace(project) as workspace:
        views = [view] if view else list(workspace.project.views)
        done = [workspace.online.materialise(name, until=until, again=again) for name in views]
    if as_json:
        output.as_json(done)
        return
    output.table(
        ["view", "written", "entities", "newest value", "until", "version"],
        [(one.view, one.written, one.entities, one.newest, one.until, one.version) for one in done],
    )


@command.command("read")
@click.argument("view")
@click.argument("entity", nargs=-1, required=True)
@options.project
@options.as_json
def read(view: str, entity: tuple[str, ...], project: Path | None, *, as_json: bool) -> None:
    """Show the online features of VIEW for one ENTITY, given as `column=value` for each of its columns."""
    texts = dict(_pair(text) for text in entity)
    with options.workspace(project) as workspace:
        found = workspace.online.read([view], workspace.online.entity(view, texts))
        features, fresh = found.dicts()[0], list(found.freshness.values())
    if as_json:
        output.as_json({"features": features, "freshness": fresh, "problem": found.problem})
        return
    output.table(["feature", "value"], features.items())
    for one in fresh:
        click.echo(f"{one.view}: {'no value' if one.newest is None else f'{output.span(one.newest)} old'}")
    if found.problem:
        click.secho(found.problem, fg="yellow")


def _pair(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        msg = f"{text!r} names no column. Expected column=value, as origin=JFK."
        raise click.BadParameter(msg, param_hint="ENTITY")
    return column, value
