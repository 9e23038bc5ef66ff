"""`treadle runs`: what was executed, with what result, and its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output
from treadle.core.clock import span_text

if TYPE_CHECKING:
    from treadle.core.records import Run

if TYPE_CHECKING:
    from treadle.loop.reruns import Change, Rerun

#: What `treadle runs rerun` ends with where the numbers are others.
DIFFERENT = 1


@click.group("runs", invoke_without_command=True)
@click.option("--model", help="Only runs of this model.")
@click.option(
    "--where", multiple=True, help="Only runs of which this holds, as 'metrics.loss<0.3' or 'params.depth=5'."
)
@click.option(
    "--sort",
    default="",
    help="Sort by this metric or parameter, as 'metrics.loss'; '-metrics.auc' for the greatest first.",
)
@click.option(
    "--status",
    type=click.Choice(["running", "succeeded", "rejected", "failed"]),
    help="Only runs that came to this.",
)
@click.option("--limit", default=20, show_default=True, help="At most this many, newest first.")
@click.option(
    "--after", default="", help="Go on behind the runs of an earlier list, which ends with this key."
)
@options.project
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    model: str | None,
    where: tuple[str, ...],
    sort: str,
    status: Any,
    limit: int,
    after: str,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """List the runs, newest first, or look at one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        part = workspace.runs.page(
            model=model or "",
            status=status,
            where=where,
            sort=sort.lstrip("-"),
            descending=sort.startswith("-"),
            after=after,
            limit=limit,
        )
    found = part.rows
    if as_json:
        output.as_json(found)
        return
    names = [sort.lstrip("-")] if sort else []
    rows = [
        (
            r.id,
            r.model,
            r.status,
            r.started_at,
            r.model_version,
            *(_value(r, n) for n in names),
            r.error or r.reason,
        )
        for r in found
    ]
    output.table(["run", "model", "status", "started", "version", *names, "why"], rows)
    if part.after:
        output.note(f"There are more: --after {part.after}")


def _value(run: Run, name: str) -> Any:
    kind, _, rest = name.partition(".")
    return (run.metrics if kind == "metrics" else run.params).get(rest)


@command.command("show")
@click.argument("run")
@options.project
@options.as_json
def show(run: str, project: Path | None, *, as_json: bool) -> None:
    """Show one RUN: its data, window, code, metrics, verdicts and, where it failed, the traceback."""
    with options.workspace(project) as workspace:
        found = workspace.runs.get(run)
        verdicts = workspace.verdicts.list(run=run)
    if as_json:
        output.as_json({"run": found, "verdicts": verdicts})
        return
    window = (
        f"{found.window.start:%Y-%m-%d} to {found.window.end:%Y-%m-%d}"
        if found.window and found.window.start
        else "-"
    )
    for label, value in (
        ("model", found.model),
        ("status", found.status),
        ("why", output.plain(found.reason)),
        ("data", ", ".join(f"{name} version {number}" for name, number in found.data.items())),
        ("window", window),
        ("code", f"{found.code.digest} commit {found.code.commit or 'none'}" if found.code else "-"),
        ("attempts", found.attempts),
        ("version", found.model_version or "-"),
    ):
        click.echo(f"{label:10}{value}")
    output.table(["metric", "value"], sorted(found.metrics.items()))
    for verdict in verdicts:
        click.echo(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.gate}: {verdict.reason}")
    if found.error:
        click.secho(output.plain(f"error: {found.error}"), fg="red")
        click.echo(output.plain(found.traceback))


@command.command("trials")
@click.argument("run")
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with plots of the trials to this file (HTML).",
)
@options.project
@options.as_json
def trials(run: str, page: Path | None, project: Path | None, *, as_json: bool) -> None:
    """List the trials of a RUN's search, the best first, or write a page about them.

    Example: treadle runs trials run_01k --page trials.html
    """
    with options.workspace(project) as workspace:
        found = workspace.search(run)
        if page is not None:
            output.write(page, found.page())
            output.note(f"Wrote {page}")
    if as_json:
        output.as_json({"metric": found.metric, "best": found.best, "trials": found.ordered})
        return
    names = list(dict.fromkeys(name for trial in found.trials for name in trial.params or {}))
    windows = ["window"] if any(trial.window for trial in found.trials) else []
    rows = [
        (
            trial.number,
            trial.state,
            trial.value,
            *((trial.params or {}).get(name) for name in names),
            *([trial.window] if windows else []),
            span_text(trial.seconds),
            trial.attempts,
            trial.error,
        )
        for trial in found.ordered
    ]
    output.table(["trial", "state", found.metric, *names, *windows, "time", "attempts", "why"], rows)


@command.command("log")
@click.argument("run")
@options.project
def log(run: str, project: Path | None) -> None:
    """Print what a RUN's training function wrote to stdout and stderr."""
    with options.workspace(project) as workspace:
        click.echo(workspace.runs.log(run), nl=False)


@command.command("cancel")
@click.argument("run")
@options.decision
@options.project
def cancel(run: str, reason: str, by: str | None, project: Path | None) -> None:
    """End a RUN under way: whoever trains it stops within seconds, and nothing becomes of it.

    Example: treadle runs cancel run_01k --reason "the wrong rows"
    """
    with options.workspace(project) as workspace:
        found = workspace.cancel(run, reason=reason, actor=by or options.user())
    click.echo(f"{found.id} of {found.model} is cancelled.")


@command.command("retry")
@click.argument("run")
@options.decision
@options.project
def retry(run: str, reason: str, by: str | None, project: Path | None) -> None:
    """Ask for the training of a RUN that failed or was turned down once more; the next look of a watcher makes it.

    Example: treadle runs retry run_01k --reason "the disk was full"
    """
    with options.workspace(project) as workspace:
        found = workspace.retry(run, reason=reason, actor=by or options.user())
    click.echo(f"{found.model} is to be trained again: {output.plain(found.reason)}")
    click.echo(f"treadle watch makes it at its next look, or: treadle run {found.model} --if-due")


@command.command("rerun")
@click.argument("run")
@options.project
@options.as_json
def rerun(run: str, project: Path | None, *, as_json: bool) -> int:
    """Train a RUN again with its data versions, window, parameters and seed, and say whether the numbers are the same.

    The code is the present one; where it has changed, the difference is shown. Nothing is registered and no alias moves. The
    exit code is 1 where a number differs.

    Example: treadle runs rerun run_01k
    """
    with options.workspace(project) as workspace:
        found = workspace.rerun(run)
    if as_json:
        output.as_json(found)
    else:
        _tell(found)
    return 0 if found.same else DIFFERENT


def _tell(found: Rerun) -> None:
    click.echo(f"{found.run} of {found.model}: {_outcome(found)}")
    for change in found.metrics:
        click.echo(f"  metric {_changed(change)}")
    if found.rows_off:
        click.echo(
            f"  {found.rows_off:,} of {found.rows:,} test rows are answered differently, by {found.largest:.3g} at most"
        )
    output.warnings(found.notes, of="  ")
    for change in found.environment:
        click.secho(output.plain(f"  environment: {_changed(change)}"), fg="yellow")
    if found.code:
        click.secho("  the code has changed:", fg="yellow")
        click.echo(output.plain(found.code), nl=False)


def _outcome(found: Rerun) -> str:
    if not found.same:
        return "the numbers differ" if found.compared else "there are no numbers to compare"
    answers = f" and {found.rows:,} answers" if found.rows else ""
    same = f"the same numbers: {found.compared} metrics{answers}"
    if found.identical is None:
        return f"{same}; the run made no version to compare the package with"
    return f"{same}, " + (
        "and the package is the same to the last byte"
        if found.identical
        else "in a package whose bytes differ"
    )


def _changed(change: Change) -> str:
    before, now = ("not there" if value is None else str(value) for value in (change.before, change.now))
    return f"{change.name}: {before} then, {now} now"
