"""`treadle models import`: make a version of a model that was trained elsewhere."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output, rowfiles

if TYPE_CHECKING:
    import polars as pl

_file = click.Path(path_type=Path, dir_okay=False, exists=True)


class _Source(click.Path):
    """A file that is there, or a reference to what MLflow holds, which stays text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith("models:/"):
            return value
        return super().convert(value, param, ctx)


@click.command("import")
@click.argument("file", type=_Source(path_type=Path, dir_okay=False, exists=True))
@click.option("--model", required=True, help="Name of the model that it becomes a version of.")
@click.option("--task", help="What it answers, as 'regression'; a declared model has its own.")
@click.option(
    "--classes",
    default="",
    help="The classes, or labels, that it tells apart, in its order, with commas between.",
)
@click.option(
    "--sample",
    type=_file,
    help="Rows that it can answer (.csv, .parquet, .jsonl); a declared model has its dataset's.",
)
@click.option("--inputs", default="", help="The columns that it takes, in its order, with commas between.")
@click.option(
    "--answers",
    default="",
    help="Column of the sample with what it answered where it was made; several with commas between.",
)
@click.option(
    "--output", "tensor", default="", help="Of an ONNX file: the output that holds the scored numbers."
)
@click.option("--digest", default="", help="What the file's digest must be, as sha256:…")
@click.option(
    "--trained-until", type=click.DateTime(), help="When the rows end that it has learnt from (UTC)."
)
@click.option("--judge", is_flag=True, help="Let the model's gates decide, as about a candidate.")
@click.option(
    "--allow-pickle", is_flag=True, help="Read a pickle, which runs its code here and on every server."
)
@click.option("--reason", default="", help="Why; kept with the run.")
@click.option("--by", help="Who brings it; by default who is logged in.")
@options.project
@options.as_json
def command(file: Path | str, project: Path | None, *, as_json: bool, **said: Any) -> None:
    """Make a version of the model in FILE: .onnx, .ubj or .json (XGBoost), .txt (LightGBM), .cbm (CatBoost), .skops.

    FILE may also name what MLflow's registry holds (MLFLOW_TRACKING_URI), in the flavour onnx: models:/delay@champion.

    Example: treadle models import delay.ubj --model delay --judge --reason "trained by the research group"
    """
    sample, expected = _sample(said["sample"], _names(said["answers"]))
    until = said["trained_until"]
    with options.workspace(project) as workspace:
        done = workspace.import_model(
            file,
            said["model"],
            task=_task(said["task"], _names(said["classes"])),
            sample=sample,
            inputs=_names(said["inputs"]),
            output=said["tensor"],
            expected=expected,
            digest=said["digest"],
            allow_pickle=said["allow_pickle"],
            trained_until=until.replace(tzinfo=UTC) if isinstance(until, datetime) else None,
            judge=said["judge"],
            reason=said["reason"] or (file if isinstance(file, str) else ""),
            actor=said["by"] or options.user(),
        )
    if as_json:
        output.as_json(done)
        return
    for verdict in done.verdicts:
        click.echo(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.gate}: {verdict.reason}")
    click.echo(f"{done.version.model}/{done.version.version}: {done.outcome}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sample(file: Path | None, answers: list[str]) -> tuple[pl.DataFrame | None, Any]:
    """Return the sample's rows, and what the model answered for them where it was made."""
    if file is None:
        if answers:
            msg = "--answers names columns of a sample. Give one: --sample rows.csv"
            raise click.UsageError(msg)
        return None, None
    rows = rowfiles.read(file)
    for name in answers:
        if name not in rows.columns:
            msg = f"{file.name} has no column {name!r}. Columns: {', '.join(rows.columns)}."
            raise click.UsageError(msg)
    expected = rows.select(answers).to_numpy() if answers else None
    if expected is not None and expected.shape[1] == 1:
        expected = expected[:, 0]
    return rows.drop(answers), expected


def _task(name: str | None, classes: list[str]) -> Any:
    if name is None:
        if classes:
            msg = "--classes belong to a task. Name it: --task multiclass"
            raise click.UsageError(msg)
        return None
    from treadle.core import plugins
    from treadle.core.errors import closest

    if name not in plugins.available("task"):
        msg = f"No task named {name!r}. {closest(name, plugins.available('task'))}"
        raise click.UsageError(msg)
    kind = plugins.public_class("task", "".join(part.title() for part in name.split("_")))
    known = {field.name for field in fields(kind)}
    argument = next((one for one in ("classes", "labels") if one in known), None)
    if classes and argument is None:
        msg = f"--classes names classes or labels, which {name} does not have. Leave it out."
        raise click.UsageError(msg)
    return kind(**{argument: classes}) if classes and argument else kind()
