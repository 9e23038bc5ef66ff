"""`treadle collect`: remove what no kept version of a dataset or a tree needs."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output
from treadle.app.cli.upkeep import print_collected


@click.command("collect")
@click.argument("names", nargs=-1)
@click.option("--keep-last", default=10, show_default=True, help="Versions of each dataset and tree to keep.")
@click.option("--younger-than", default="30d", show_default=True, help="Keep versions that are younger.")
@click.option("--remove", is_flag=True, help="Remove; without it, only say what would be removed.")
@options.project
@options.as_json
def command(
    names: tuple[str, ...],
    keep_last: int,
    younger_than: str,
    project: Path | None,
    *,
    remove: bool,
    as_json: bool,
) -> None:
    """Remove what no kept version of the datasets and trees NAMES needs, or of all. What models were trained on is always kept."""
    with options.workspace(project) as workspace:
        found = workspace.collect(
            names or None, keep_last=keep_last, younger_than=younger_than, dry_run=not remove
        )
    if as_json:
        output.as_json(found)
        return
    print_collected(found.datasets)
    if found.trees:
        click.echo()
        output.table(
            ["tree", "versions that cannot be read then", "contents that nothing needs", "bytes"],
            [(t.tree, ", ".join(map(str, t.versions)), t.contents, t.size) for t in found.trees],
        )
    if not remove:
        output.note("Nothing was removed. To remove it: treadle collect --remove")
