"""`treadle status`: what is fresh, what is stale, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output, slos

if TYPE_CHECKING:
    from treadle.app.status import ModelStatus, Status, TreeStatus
    from treadle.features.materialisations import ViewFreshness
    from treadle.loop.mirroring import Mirrored


@click.command("status")
@options.project
@options.as_json
def command(project: Path | None, *, as_json: bool) -> None:
    """Show datasets, models, endpoints and open alerts. Nothing is read from sources and nothing is changed."""
    with options.workspace(project) as workspace:
        found = workspace.status()
    if as_json:
        output.as_json(found)
    else:
        _print(found)


def _print(found: Status) -> None:
    click.echo(f"{found.project}, {found.at:%Y-%m-%d %H:%M} UTC\n")
    output.table(
        ["dataset", "version", "rows", "outcomes", "quarantined", "newest row"],
        [(d.name, d.version, d.rows, d.outcomes_known, d.quarantined, d.newest) for d in found.datasets],
    )
    for dataset in found.datasets:
        output.warnings(dataset.problems, of=f"  {dataset.name}: ")
    click.echo()
    if found.trees:
        _print_trees(found.trees)
    if found.online:
        _print_online(found.online)
    for model in found.models:
        _print_model(model)
    for endpoint in found.endpoints:
        shares = ", ".join(f"{v.model}/{v.version} {v.weight:.0%}" for v in endpoint.variants)
        click.echo(f"endpoint {endpoint.name}: revision {endpoint.revision} ({shares})")
        if endpoint.rollout is not None:
            version = f"{endpoint.rollout.challenger.model}/{endpoint.rollout.challenger.version}"
            click.echo(f"  rollout of {version}: {endpoint.rollout.told()}")
        for state in endpoint.servers:
            refused = f"; refused revision {state.refused}: {state.error}" if state.refused else ""
            click.echo(f"  {state.server} serves revision {state.revision}{refused}")
    for mirror in found.mirrors:
        _print_mirror(mirror)
    slos.shown(found.slos)
    for alert in found.alerts:
        text = f"ALERT {alert.severity} {alert.rule} on {alert.subject} since {alert.at:%Y-%m-%d %H:%M}: {alert.text}"
        click.secho(output.plain(text), fg="red")
        if alert.acknowledged:
            taken = alert.acknowledged
            click.echo(
                output.plain(f"  taken on by {taken.actor}, {taken.at:%Y-%m-%d %H:%M}: {taken.reason}")
            )
    if not found.alerts:
        click.echo("no open alerts")


def _print_trees(trees: Sequence[TreeStatus]) -> None:
    output.table(
        ["tree", "version", "at", "files", "bytes", "versions kept"],
        [(t.name, t.version, t.at, t.files, t.size, t.versions) for t in trees],
    )
    for tree in trees:
        output.warnings(tree.problems, of=f"  {tree.name}: ")
    click.echo()


def _print_online(views: Sequence[ViewFreshness]) -> None:
    output.table(
        ["online", "entities", "newest value", "age", "materialised until", "versions behind"],
        [(v.view, v.entities, v.newest, output.span(v.age), v.until, v.behind) for v in views],
    )
    output.warnings(list(dict.fromkeys(view.problem for view in views if view.problem)), of="  ")
    click.echo()


def _print_model(model: ModelStatus) -> None:
    if model.champion is None:
        head = "no version released yet"
    else:
        head = f"version {model.champion}, trained on data until {model.trained_until:%Y-%m-%d} ({model.age_days:.1f} days ago)"
    click.echo(f"model {click.style(model.name, bold=True)}: {head}")
    if model.last_run:
        last = model.last_run
        error = f" – {output.plain(last.error)}" if last.error else ""
        click.echo(f"  last run {last.id}: {last.status}, {last.started_at:%Y-%m-%d %H:%M}{error}")
    if model.waiting:
        waiting = model.waiting
        asked = f"waits for approval since {waiting.asked_at:%Y-%m-%d %H:%M}: {waiting.reason}"
        click.secho(output.plain(f"  version {waiting.version} {asked}"), fg="yellow")
        name = f"{waiting.model}/{waiting.version}"
        click.echo(
            output.plain(
                f"    {model.hindrance or f'treadle models approve {name} --reason ..., or reject {name}'}"
            )
        )
    due = "due" if model.decision.due else "not due"
    click.echo(f"  {due}: {model.decision.reason}")
    output.warnings(model.stale, of="  stale: ")
    output.warnings(model.notes, of="  note: ")


def _print_mirror(mirror: Mirrored) -> None:
    parts = ("runs", "versions", "aliases", "cards")
    waiting = ", ".join(f"{getattr(mirror, part)} {part}" for part in parts if getattr(mirror, part))
    click.echo(f"mirror {mirror.place}: {f'{waiting} to be sent' if waiting else 'all is sent'}")
    output.warnings([mirror.error] if mirror.error else [], of="  ")
    output.warnings(mirror.refused, of="  refused: ")
