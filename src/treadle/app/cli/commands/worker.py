"""`treadle worker`: do the jobs that wait."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("worker")
@click.option("--least", type=int, help="How many processes are kept at least (setting jobs.least).")
@click.option("--most", type=int, help="How many are started at most while jobs wait (setting jobs.most).")
@click.option("--until-empty", is_flag=True, help="End once no job is left and every web hook was taken.")
@options.project
def command(least: int | None, most: int | None, project: Path | None, *, until_empty: bool) -> None:
    """Do jobs in worker processes, as many as wait, and call their web hooks. Ends on Ctrl-C or SIGTERM, after the jobs in hand."""
    from treadle.app.jobs import supervise

    with options.workspace(project) as workspace:
        supervise(workspace, least=least, most=most, until_empty=until_empty, say=output.note)
