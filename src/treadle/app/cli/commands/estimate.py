"""`treadle estimate`: how good answers probably are, before outcomes come."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("estimate")
@click.argument("model")
@click.option("--metric", help="Show this metric alone, as accuracy or mae; by default all.")
@click.option("--every", default="1w", show_default=True, help="The length of a stretch of time.")
@click.option(
    "--window",
    default="all",
    show_default=True,
    help="How far back from the newest row; 'all': as far as there are rows.",
)
@click.option("--against", help="The version that answered, by number or alias; by default the champion.")
@click.option("--endpoint", default="", help="Take what this endpoint answered; by default the model's own.")
@click.option(
    "--dataset-version", type=int, help="Take rows of this version of the dataset, in place of a log."
)
@options.project
@options.as_json
def command(
    model: str,
    metric: str | None,
    every: str,
    window: str,
    against: str | None,
    endpoint: str,
    dataset_version: int | None,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """Estimate how good the answers of MODEL were by stretch of time, with 95 % intervals, beside what is known by now.

    Example: treadle estimate delay --metric accuracy --every 1d
    """
    with options.workspace(project) as workspace:
        found = workspace.estimate(
            model,
            every=every,
            window="" if window == "all" else window,
            against=against,
            endpoint=endpoint,
            dataset_version=dataset_version,
        )
    shown = [one for one in found if metric in (None, one.metric)]
    if metric is not None and not shown:
        known = ", ".join(dict.fromkeys(one.metric for one in found))
        msg = f"{metric!r} is not estimated for this model. Estimated are: {known}."
        raise click.UsageError(msg)
    if as_json:
        output.as_json(shown)
        return
    output.table(
        ["from", "metric", "rows", "estimated", "low", "high", "at training", "known", "really"],
        [
            (
                one.start,
                one.metric,
                one.n,
                *(f"{value:.4f}" for value in (one.estimated, one.low, one.high, one.before)),
                one.known,
                "" if one.realised is None else f"{one.realised:.4f}",
            )
            for one in shown
        ],
    )
