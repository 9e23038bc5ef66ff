"""`treadle init`: begin a project in a folder, from a look at your own data."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output
from treadle.core.errors import InvalidInput


@click.command("init")
@click.option(
    "--data", default="", help="A data file or pattern in this folder, as sales.csv or 'landing/*.parquet'."
)
@click.option("--target", default="", help="The column to predict.")
@click.option(
    "--key",
    default="",
    help="The column that names a row, or several as store,day; found by looking when not given.",
)
@click.option(
    "--time", default="", help="The column with the time of a row; found by looking when not given."
)
@options.as_json
def command(data: str, target: str, key: str, time: str, *, as_json: bool) -> None:
    """Write treadle.toml and project.py, with a contract and a model made from a look at the data.

    Example: treadle init --data customers.csv --target churned
    """
    from treadle.app import look, scaffold

    folder = Path.cwd()
    data = data or _only_data_file(folder)
    if not target:
        columns = ", ".join(look.columns(folder, data))
        msg = (
            f"Which column is to be predicted? treadle init --data {data} --target COLUMN. Columns: {columns}"
        )
        raise InvalidInput(msg, field="target")
    found = scaffold.create(folder, data=data, target=target, key=key, time=time)
    request = scaffold.request(found)
    if as_json:
        written = ["treadle.toml", "project.py"]
        output.as_json({"written": written, "notes": found.notes, "request": request})
        return
    click.echo("Wrote treadle.toml and project.py. Read project.py; it is yours to change.")
    for note in found.notes:
        click.echo(note)
    click.echo("Next: treadle run      train, test and release a first version")
    click.echo("      treadle serve    answer over HTTP")
    click.echo("      treadle status   what is fresh, what is stale, and why")
    if request:
        click.echo(f"Once it is served, ask it: {request}")


def _only_data_file(folder: Path) -> str:
    endings = (".csv", ".csv.gz", ".csv.zip", ".parquet", ".jsonl", ".ndjson")
    found = sorted(path.name for path in folder.iterdir() if path.name.endswith(endings))
    if len(found) == 1:
        return found[0]
    here = f"Data files here: {', '.join(found)}." if found else "There is no data file in this folder yet."
    msg = f"Which data? treadle init --data FILE --target COLUMN. {here}"
    raise InvalidInput(msg, field="data")
