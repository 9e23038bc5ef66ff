"""`treadle replay`: what a policy would have done over the history."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.clock import utc

if TYPE_CHECKING:
    from treadle.loop.choosing import GridReplay
    from treadle.loop.replay import Replay


@click.command("replay")
@click.argument("model")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="First day; by default the first of the data."
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day; by default the last of the data.")
@click.option("--step", default="1d", show_default=True, help="How often the policy looks.")
@click.option("--grid", "several", is_flag=True, help="Beside the declared policy, others round it.")
@click.option(
    "--trigger",
    "triggers",
    multiple=True,
    help="With --grid, again and again: 'declared', 'new_rows:5000', 'age:7d', several joined by '+'.",
)
@click.option(
    "--window",
    "windows",
    multiple=True,
    help="With --grid, again and again: 'declared', '90d', 'expanding', 'tumbling:7d'.",
)
@click.option("--gates", multiple=True, help="With --grid, again and again: 'declared', 'none'.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="With --grid: a page to write it to."
)
@options.project
@options.as_json
def command(
    model: str,
    since: datetime | None,
    until: datetime | None,
    step: str,
    triggers: tuple[str, ...],
    windows: tuple[str, ...],
    gates: tuple[str, ...],
    html: Path | None,
    project: Path | None,
    *,
    several: bool,
    as_json: bool,
) -> None:
    """Walk the history of MODEL with only what was known at each moment. It trains, and registers nothing."""
    if (triggers or windows or gates or html) and not several:
        msg = "--trigger, --window, --gates and --html go with --grid."
        raise click.UsageError(msg)
    begin, end = (utc(at) if at else None for at in (since, until))
    with options.workspace(project) as workspace:
        if not several:
            found = workspace.replay(model, since=begin, until=end, step=step)
            output.as_json(found) if as_json else _print(found)
            return
        from treadle.loop.choosing import plain
        from treadle.loop.grid import read

        grid = read(workspace.project.model(model), triggers=triggers, windows=windows, gates=gates)
        raced = workspace.replay_grid(model, grid, since=begin, until=end, step=step)
    if html is not None:
        from treadle.app.replayed.page import page

        html.write_text(page(raced), encoding="utf-8")
        output.note(f"Written to {html}.")
    output.as_json(plain(raced)) if as_json else _compare(raced)


def _compare(found: GridReplay) -> None:
    rows = [
        (
            f"{'→ ' if one.name == found.recommended else '  '}{one.name}",
            one.loss,
            f"{one.against.value:+.5f} ({one.against.low:+.5f} to {one.against.high:+.5f})"
            if one.against
            else "",
            len(one.trainings),
            one.promotions,
            one.wrong,
            one.missed,
        )
        for one in found.policies
    ]
    heads = ["policy", found.metric, "against declared", "trainings", "promoted", "wrong", "missed"]
    output.table(heads, rows)
    click.echo(
        f"\nlosses on {found.rows:,} rows that every policy answered; {found.fits} fits for {found.fits_asked} trainings"
    )
    click.echo(f"take: {found.recommended} – {found.reason}")


def _print(found: Replay) -> None:
    for training in found.trainings:
        said = "released" if training.passed else "turned down"
        click.echo(f"{training.at:%Y-%m-%d}  trained on {training.rows:,} rows, {said} – {training.reason}")
    names = list(found.loss)
    click.echo(f"\n{found.metric} by week, on rows that came after each training:")
    output.table(
        ["week", "rows", *names], [(w.start, w.rows, *(w.loss.get(n) for n in names)) for w in found.weeks]
    )
    summary = ", ".join(f"{name} {value:.4f}" for name, value in found.loss.items())
    click.echo(f"\nover all: {summary or 'nothing was released, so nothing could be scored'}")
