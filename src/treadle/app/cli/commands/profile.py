"""`treadle profile`: a page that shows what a dataset holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.data.profiles.records import Profile

_COLOURS = {"alert": "red", "warning": "yellow", "note": None}


@click.command("profile")
@click.argument("name")
@click.option("--version", help="Version, by number or tag; the newest by default.")
@click.option("--against", help="An earlier version to compare with, by number or tag.")
@click.option("--outcome", help="The column to look for leaks of; by default the declared outcome.")
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; by default NAME-profile.html in this folder.",
)
@click.option("--open", "show", is_flag=True, help="Show the page in the browser.")
@options.project
@options.as_json
def command(
    name: str,
    version: str | None,
    against: str | None,
    outcome: str | None,
    target: Path | None,
    project: Path | None,
    *,
    show: bool,
    as_json: bool,
) -> None:
    """Write a page about the dataset NAME: types, missing values, distributions, time, associations, leakage suspects.

    The page is one HTML file that needs nothing else, and runs nothing. With --json the numbers are printed, and a page is
    written only where --output says so.

    Example: treadle profile flights --against 3 --open
    """
    output.note(f"Looking at the rows of {name}")
    with options.workspace(project) as workspace:
        found = workspace.datasets.profile(name, version=version, against=against, outcome=outcome)
    written = None if as_json and target is None else _write(found, target or Path(f"{name}-profile.html"))
    if as_json:
        output.as_json(found)
    else:
        _tell(found)
        click.echo(f"Wrote {written}")
    if show and written is not None:
        click.launch(str(written.resolve()))


def _write(found: Profile, target: Path) -> Path:
    from treadle.data.profiles.page.page import page

    output.write(target, page(found))
    return target


def _tell(found: Profile) -> None:
    """Print what to look at first."""
    from treadle.data.profiles.words import plural, shown

    against = f" against version {found.comparison.before.version}" if found.comparison else ""
    size = f"{plural(found.rows, 'row')}, {plural(len(found.columns), 'column')}"
    click.echo(f"{found.dataset} version {found.version}{against}: {size}")
    for finding in found.findings:
        about = f"{shown(finding.column)} " if finding.column else ""
        mark = click.style(f"{finding.level:7}", fg=_COLOURS[finding.level])
        click.echo(f"  {mark}  {about}{finding.text}")
