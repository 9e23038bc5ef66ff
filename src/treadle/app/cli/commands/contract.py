"""`treadle contract`: write one from data, try it, compare it with the stored one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.core.errors import AlreadyExists

if TYPE_CHECKING:
    from treadle.app.contracts import Comparison, Trial


@click.group("contract")
def command() -> None:
    """Write a contract from data, try it on a file before it lands, or compare it with that of the stored rows."""


@command.command("infer")
@click.argument("data", metavar="NAME|FILE")
@click.option(
    "--output",
    "-o",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, which must not exist; by default to standard output.",
)
@options.project
def infer(data: str, target: Path | None, project: Path | None) -> None:
    """Write a contract as Python that the rows of the dataset NAME, or of FILE (also a pattern), meet.

    Types are the narrowest that fit, a column that lacked a value may lack one; values that might be the only legal ones are
    suggested in comments. Read it, and paste it into the project's file.
    """
    from treadle.app import contracts

    if target is not None and target.exists():
        msg = f"{target} is here already; nothing was changed. Give another name."
        raise AlreadyExists(msg)
    folder = Path.cwd()
    if contracts.is_file(data, folder):
        text = contracts.draft_of_files(folder, data)
    else:
        with options.workspace(project) as workspace:
            text = contracts.draft_of_dataset(workspace, data)
    if target is None:
        click.echo(text, nl=False)
        return
    target.write_text(text, encoding="utf-8")
    output.note(f"Wrote {target}.")


@command.command("check")
@click.argument("data", metavar="FILE")
@click.option("--against", required=True, metavar="NAME", help="The dataset whose contract it is to meet.")
@click.option(
    "--part", default="rows", show_default=True, help="rows, or outcomes where they are kept apart."
)
@options.project
@options.as_json
@click.pass_context
def check(
    context: click.Context, data: str, against: str, part: str, project: Path | None, *, as_json: bool
) -> None:
    """Say which rows of FILE (also a pattern) would go to quarantine, and why; nothing is ingested.

    Exits with 1 where a row or a file would not be taken in.
    """
    from treadle.app import contracts

    with options.workspace(project) as workspace:
        found = contracts.trial(workspace, data, folder=Path.cwd(), against=against, part=part)
    if as_json:
        output.as_json(found)
    else:
        _tell(found)
    if not found.passed:
        context.exit(1)


@command.command("diff")
@click.argument("name")
@options.project
@options.as_json
@click.pass_context
def diff(context: click.Context, name: str, project: Path | None, *, as_json: bool) -> None:
    """Compare the declared contract of the dataset NAME with the one that its stored rows meet.

    Exits with 1 where the next ingestion would refuse the change.
    """
    from treadle.app import contracts

    with options.workspace(project) as workspace:
        found = contracts.differences(workspace, name)
    if as_json:
        output.as_json(found)
    else:
        _compare(found)
    if found.refused:
        context.exit(1)


def _tell(found: Trial) -> None:
    click.echo(
        f"{found.rows - found.bad:,} of {found.rows:,} rows in {found.files:,} files meet the contract."
    )
    if found.reasons:
        output.table(
            ["rows", "share", "reason", "as"],
            [(one.rows, f"{one.rows / found.rows:.2%}", one.what, one.examples[0]) for one in found.reasons],
        )
    for problem in found.problems:
        click.secho(problem, fg="yellow")


def _compare(found: Comparison) -> None:
    if not found.parts and not found.refused:
        click.echo("The declared contract is the stored one.")
    for part, changes in found.parts.items():
        click.secho(f"{part}:", bold=True)
        for mark, colour, texts in (
            ("breaks stored rows", "red", changes.breaking),
            ("excludes more", "yellow", changes.narrowing),
            ("harmless", "green", changes.harmless),
        ):
            for text in texts:
                click.echo(f"  {click.style(mark, fg=colour)}: {text}")
    if found.refused:
        click.secho(f"Refused. {found.refused}", fg="red")
    elif found.parts:
        click.echo("Accepted: every stored row meets it.")
