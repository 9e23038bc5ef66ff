"""`treadle performance`: how good an endpoint's answers were."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("performance")
@click.argument("endpoint")
@click.option("--metric", default="", help="A metric of the task, as accuracy; by default the task's own.")
@click.option("--every", default="1w", show_default=True, help="1h, 1d, 1w, 1mo or all.")
@click.option("--by", multiple=True, help="Tell answers apart by variant, revision, decision or an input.")
@options.project
@options.as_json
def command(
    endpoint: str, metric: str, every: str, by: tuple[str, ...], project: Path | None, *, as_json: bool
) -> None:
    """Show how good the answers of ENDPOINT were, as their outcomes became known, with 95 % intervals.

    Example: treadle performance delay --every 1mo --by carrier
    """
    with options.workspace(project) as workspace:
        found = workspace.performance(endpoint, metric=metric, every=every, by=by)
    if as_json:
        output.as_json(found.to_dicts())
        return
    shown = found.drop("model") if found["model"].n_unique() == 1 else found
    output.table([{"start": "from", "n": "known"}.get(name, name) for name in shown.columns], shown.rows())
    if found.is_empty():
        output.note(
            f"No outcome of an answer of {endpoint} is known yet. Report them: POST /v1/endpoints/{endpoint}/outcomes, "
            "or let them land with the dataset."
        )
