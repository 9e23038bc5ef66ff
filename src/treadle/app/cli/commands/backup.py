"""`treadle backup`: write the whole state of a project elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("backup")
@click.argument("place")
@click.option("--keep", type=click.IntRange(min=1), help="Keep only so many of the newest backups there.")
@options.project
@options.as_json
def command(place: str, project: Path | None, *, keep: int | None, as_json: bool) -> None:
    """Write a backup of the project's state to PLACE: a folder, or s3://bucket/prefix. Servers and watchers go on meanwhile.

    Repeat it as often as you like: what the place has already is not stored again. All that was acknowledged before the command
    began is in the backup. Your own files (the project's code and settings) are not: they are in version control.

    Example: treadle backup /mnt/backups/flights --keep 30
    """
    with options.workspace(project) as workspace:
        made = workspace.backup(place, keep=keep)
    if as_json:
        output.as_json(made)
        return
    click.echo(
        f"Backup {made.id}: {made.files:,} files, {made.size:,} bytes, {made.added:,} of them new there"
    )
    output.note(f"To put it back into an empty project: treadle restore {place}")
