"""`treadle drift`: what has changed since a model was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.monitoring.drift import Drift, Finding


@click.command("drift")
@click.argument("model")
@click.option(
    "--window",
    default="7d",
    show_default=True,
    help="How far back from the newest row; 'all': as far as there are rows.",
)
@click.option("--against", help="The version to compare with, by number or alias; by default the champion.")
@click.option(
    "--endpoint", default="", help="Compare what this endpoint was asked; by default the model's own."
)
@click.option(
    "--dataset-version", type=int, help="Compare rows of this version of the dataset, in place of a log."
)
@click.option(
    "--rate", default=0.01, show_default=True, help="The chance of any finding where nothing has changed."
)
@click.option(
    "--least",
    multiple=True,
    metavar="DETECTOR=EFFECT",
    help="The smallest effect that counts, as values=0.05; may be repeated.",
)
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    help="Use this detector; may be repeated. By default all but the costly ones.",
)
@click.option(
    "--column", "columns", multiple=True, help="Compare this column; may be repeated. By default all."
)
@click.option(
    "--learn", is_flag=True, help="Make the version's reference anew from what its run has read, first."
)
@options.project
@options.as_json
def command(
    model: str,
    window: str,
    against: str | None,
    endpoint: str,
    dataset_version: int | None,
    rate: float,
    least: tuple[str, ...],
    detectors: tuple[str, ...],
    columns: tuple[str, ...],
    project: Path | None,
    *,
    learn: bool,
    as_json: bool,
) -> None:
    """Compare what MODEL was asked lately, or rows that landed since, with what it has learnt from.

    Columns that have changed are shown, those first that matter most. The exit code is 0 whether any has or not; --json lists every test.

    Example: treadle drift delay --window 1d
    """
    with options.workspace(project) as workspace:
        if learn:
            made = workspace.learn_reference(model, against=against)
            output.note(f"{made.model}/{made.version} has a reference now")
        found = workspace.drift(
            model,
            window="" if window == "all" else window,
            against=against,
            endpoint=endpoint,
            dataset_version=dataset_version,
            rate=rate,
            least=dict(_effect(text) for text in least),
            detectors=detectors or None,
            columns=columns,
        )
    if as_json:
        output.as_json(found)
    else:
        _print(found)


def _effect(text: str) -> tuple[str, float]:
    detector, _, number = text.partition("=")
    try:
        return detector, float(number)
    except ValueError:
        msg = f"--least {text!r}: expected a detector and a share of rows, as values=0.05."
        raise click.UsageError(msg) from None


def _print(found: Drift) -> None:
    start = f"{found.start:%Y-%m-%d %H:%M} to " if found.start else ""
    stretch = f", {start}{found.end:%Y-%m-%d %H:%M}" if found.end else ""
    click.echo(
        f"{found.rows:,} rows of {found.source}{stretch}, against {found.version} ({found.reference_rows:,} rows)"
    )
    drifted = found.drifted
    if not drifted:
        click.echo(
            f"Nothing has changed: {len(found.findings)} tests, a false alarm at most {found.rate:g} of the time."
        )
    else:
        click.echo(f"{len(drifted)} of {len(found.findings)} tests found a change:\n")
        output.table(
            ["column", "what", "effect", "noise", "p", "model depends", "since", "where"],
            [_row(one) for one in drifted],
        )
        click.echo()
        for one in drifted:
            click.echo(output.plain(f"  {one.column or 'all columns together'}: {one.text}"))
    output.warnings(found.notes)


def _row(one: Finding) -> tuple[str, ...]:
    name = one.column if one.role == "input" else f"{one.column} ({one.role})"
    return (
        output.plain(name or "(all together)"),
        one.detector,
        f"{one.effect:.1%}",
        f"{one.floor:.1%}",
        f"{one.corrected:.2g}",
        "" if one.importance is None else f"{one.importance:.0%}",
        f"{one.since:%Y-%m-%d %H:%M}" if one.since else "",
        output.plain(one.slice),
    )
