"""`treadle experiments`: what live traffic shows about two variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from treadle.monitoring.findings import Difference, ExperimentResult

#: Below it nobody asks how small a p-value is.
_SMALL = 0.0001


@click.group("experiments", invoke_without_command=True)
@options.project
@options.as_json
@click.pass_context
def command(context: click.Context, project: Path | None, *, as_json: bool) -> None:
    """List the experiments: those that are declared, and endpoints whose requests variants share."""
    if context.invoked_subcommand is not None:
        return
    from treadle.core.errors import TreadleError

    rows: list[tuple[Any, ...]] = []
    found: list[dict[str, Any]] = []
    with options.workspace(project) as workspace:
        for experiment in workspace.experiments.list():
            try:
                result = workspace.experiments.result(experiment)
            except TreadleError as error:
                found.append({"experiment": experiment.name, "error": str(error)})
                rows.append((experiment.name, experiment.endpoint, "-", None, str(error)))
                continue
            found.append({"experiment": experiment.name, "result": result})
            rows.append(
                (experiment.name, experiment.endpoint, result.verdict, result.units, _shortly(result))
            )
    if as_json:
        output.as_json(found)
        return
    output.table(["experiment", "endpoint", "verdict", "units", "why"], rows)


@command.command("show")
@click.argument("name")
@options.project
@options.as_json
def show(name: str, project: Path | None, *, as_json: bool) -> None:
    """Show what an experiment has found by now: NAME is its own, or that of an endpoint."""
    with options.workspace(project) as workspace:
        result = workspace.experiments.result(name)
    if as_json:
        output.as_json(result)
        return
    click.echo(f"{result.experiment}: {output.plain(result.told())}")
    for line in filter(None, (result.waits(), _looked(result))):
        click.echo(line)
    click.echo(f"shares: {result.ratio.told()}")
    click.echo()
    differences = [("decides", result.metric), *(("guard", one) for one in result.guards)]
    differences += [(f"{one.column} = {one.value}", one.difference) for one in result.segments]
    output.table(
        ["", "metric", result.control, result.treatment, "difference", "low", "high", "p", "units"],
        [_row(what, one) for what, one in differences],
    )


def _shortly(result: ExperimentResult) -> str:
    return result.waits() or result.reason


def _looked(result: ExperimentResult) -> str:
    return "" if result.looks is None else f"{result.looks[0]} of {result.looks[1]} planned looks were made"


def _row(what: str, found: Difference) -> tuple[object, ...]:
    units = found.n_control + found.n_treatment
    p = None if found.p is None else f"{found.p:.4f}" if found.p >= _SMALL else f"< {_SMALL}"
    return what, found.metric, found.control, found.treatment, found.value, found.low, found.high, p, units
