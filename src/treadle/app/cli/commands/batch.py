"""`treadle batch`: score files or a dataset."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.core.records import Window


@click.command("batch")
@click.argument("target")
@click.argument("files", nargs=-1)
@click.option(
    "--output",
    "-o",
    "target_output",
    required=True,
    help="A new folder, a file that ends in .parquet, or table:NAME.",
)
@click.option("--dataset", help="Score rows of this dataset instead of files; NAME@12 names a version.")
@click.option("--split", help="Only this split of the dataset.")
@click.option("--since", type=click.DateTime(), help="Only rows of the dataset from this moment on (UTC).")
@click.option("--until", type=click.DateTime(), help="Only rows of the dataset before this moment (UTC).")
@click.option("--keep", help="Columns that are passed through, with commas between; by default all.")
@click.option(
    "--misfits",
    type=click.Choice(["reject", "stop"]),
    default="reject",
    show_default=True,
    help="What becomes of rows that do not fit: put aside in the folder `rejected` with the reason, or the end of the batch.",
)
@click.option("--prefix", default="", help="Stands before the names of the columns that are added.")
@click.option("--log", is_flag=True, help="Write the predictions into the endpoint's prediction log, too.")
@click.option("--key", help="Columns by which the log's outcomes will be found, with commas between.")
@click.option("--processes", type=int, help="Processes that score; by default one for each processor.")
@click.option("--part-rows", type=int, help="Rows of a part: what a process has in memory.")
@click.option(
    "--engine",
    type=click.Choice(["process", "ray"]),
    default="process",
    show_default=True,
    help="Where it runs; for Ray, compute.address says where that is.",
)
@options.project
@options.as_json
def command(
    target: str,
    files: tuple[str, ...],
    target_output: str,
    dataset: str | None,
    since: datetime | None,
    until: datetime | None,
    keep: str | None,
    processes: int | None,
    project: Path | None,
    *,
    key: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Score FILES (patterns as 'in/*.parquet', CSV and JSON lines too) with TARGET: an endpoint, delay@champion or delay/3.

    A batch that was killed goes on where it stopped when it is asked for again.
    """
    name, _, version = (dataset or "").partition("@")
    with options.workspace(project) as workspace:
        done = workspace.batch(
            target,
            files,
            output=target_output,
            dataset=name or None,
            version=_number(version),
            window=_window(since, until),
            keep=None if keep is None else [column for column in keep.split(",") if column],
            key=[column for column in (key or "").split(",") if column],
            processes=processes if processes is not None else os.cpu_count() or 1,
            **given,
        )
    if as_json:
        output.as_json(done)
        return
    aside = f", {done.rejected:,} that do not fit are in {_rejected(target_output)}" if done.rejected else ""
    click.echo(f"{done.rows:,} rows scored with {done.plan.answered_by} in {target_output}{aside}")
    click.echo(f"digest {done.digest}")


def _rejected(place: str) -> str:
    if place.startswith("table:"):
        return f".treadle/batches/{place.removeprefix('table:')}/rejected"
    return f"{place}.batch/rejected" if place.endswith(".parquet") else f"{place}/rejected"


def _number(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        msg = f"{text!r} is no version of a dataset. Expected a number, as flights@12."
        raise click.UsageError(msg)
    return int(text)


def _window(since: datetime | None, until: datetime | None) -> Window | None:
    from treadle.core.clock import utc
    from treadle.core.records import Window

    if since is None and until is None:
        return None
    end = datetime(9999, 1, 1) if until is None else until  # noqa: DTZ001 - `utc` gives it its zone
    return Window(start=None if since is None else utc(since), end=utc(end))
