"""`treadle jobs`: predictions that callers do not wait for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.app.cli import options, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from treadle.serving.jobs.record import Job

_STATES = click.Choice(["waiting", "running", "done", "failed", "cancelled", "parked"])


@click.group("jobs", invoke_without_command=True)
@click.option("--endpoint", help="Only jobs of this endpoint.")
@click.option("--state", type=_STATES, help="Only jobs in this state.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many, the newest first.",
)
@options.project
@options.as_json
@click.pass_context
def command(
    context: click.Context,
    endpoint: str | None,
    state: Any,
    limit: int,
    project: Path | None,
    *,
    as_json: bool,
) -> None:
    """List jobs, the newest first, or do something with one."""
    if context.invoked_subcommand is not None:
        return
    with options.workspace(project) as workspace:
        found = workspace.jobs.recent(endpoint=endpoint, state=state, limit=limit)
    _list(found, as_json=as_json)


@command.command("show")
@click.argument("job")
@options.project
@options.as_json
def show(job: str, project: Path | None, *, as_json: bool) -> None:
    """Show one JOB, with what became of its web hook."""
    with options.workspace(project) as workspace:
        found = workspace.jobs.get(job)
    if as_json:
        output.as_json(found)
        return
    _list([found], as_json=False)
    if found.error:
        output.note(found.error)
    if found.hook is not None:
        told = (
            f"told at {found.hook.delivered_at}"
            if found.hook.delivered_at
            else f"not told: {found.hook.error or 'not due'}"
        )
        output.note(f"web hook: {told}, {found.hook.tries} tries")


@command.command("cancel")
@click.argument("job")
@options.project
@options.as_json
def cancel(job: str, project: Path | None, *, as_json: bool) -> None:
    """End JOB without a result."""
    with options.workspace(project) as workspace:
        found = workspace.jobs.cancel(job)
    _list([found], as_json=as_json)


@command.command("parked")
@options.project
@options.as_json
def parked(project: Path | None, *, as_json: bool) -> None:
    """List what the queue has put aside because workers died of it."""
    with options.workspace(project) as workspace:
        found = workspace.queue.parked(1_000)
    if as_json:
        output.as_json([{"id": one.id, "reason": one.reason} for one in found])
    else:
        output.table(["job", "why"], [(one.id, one.reason) for one in found])


@command.command("retry")
@click.argument("jobs", nargs=-1, required=True)
@options.project
@options.as_json
def retry(jobs: tuple[str, ...], project: Path | None, *, as_json: bool) -> None:
    """Let JOBS that failed, were parked or cancelled be done again."""
    with options.workspace(project) as workspace:
        found = [workspace.jobs.retry(job) for job in jobs]
    _list(found, as_json=as_json)


@command.command("result")
@click.argument("job")
@options.project
def result(job: str, project: Path | None) -> None:
    """Print the result of JOB as JSON."""
    from treadle.serving.jobs import results

    with options.workspace(project) as workspace:
        found = results.unpack(workspace.jobs.result(job))
    click.echo(results.page(found, {"limit": str(found.rows)}).decode())


def _list(found: Sequence[Job], *, as_json: bool) -> None:
    if as_json:
        output.as_json(found)
        return
    rows = [(j.id, j.endpoint, j.state, j.created_at, j.finished_at, j.rows, j.tries, j.error) for j in found]
    output.table(["job", "endpoint", "state", "at", "ended", "rows", "tries", "why"], rows)
