"""`treadle restore`: put the state of a backup into an empty project."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("restore")
@click.argument("place")
@click.option("--backup", default="", help="Which one, by its id; by default the newest.")
@click.option("--list", "only_list", is_flag=True, help="Only say which backups there are.")
@options.project
@options.as_json
def command(place: str, backup: str, project: Path | None, *, only_list: bool, as_json: bool) -> None:
    """Put the state of a backup at PLACE into this project, whose stores are empty. Each file is checked against its digest.

    The stores may be of another kind than those that the backup was made of: this is also the way from a laptop's folder to PostgreSQL
    and a bucket. Online features are not in a backup: the next turn of the loop brings them online again.

    Example: treadle restore /mnt/backups/flights
    """
    with options.workspace(project) as workspace:
        if only_list:
            there = workspace.backups(place)
            if as_json:
                output.as_json(there)
            else:
                output.table(
                    ["backup", "of", "made by", "files", "bytes"],
                    [
                        (one.id, f"{one.at:%Y-%m-%d %H:%M} UTC", one.release, one.files, one.size)
                        for one in there
                    ],
                )
            return
        found = workspace.restore(place, backup=backup)
    if as_json:
        output.as_json(found)
        return
    click.echo(
        f"Restored the state of {found.at:%Y-%m-%d %H:%M:%S} UTC: {found.files:,} files, {found.size:,} bytes"
    )
    output.note("See what there is: treadle status")
