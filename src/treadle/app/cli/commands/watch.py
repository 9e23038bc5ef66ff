"""`treadle watch`: turn the loop whenever a policy says so."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from treadle.app.cli import options, output
from treadle.app.cli.exits import exit_code
from treadle.core.clock import parse_span

if TYPE_CHECKING:
    from treadle.loop.watcher import Look


@click.command("watch")
@click.option("--interval", default="30s", show_default=True, help="How often to look.")
@click.option("--once", is_flag=True, help="Look once and end, as from cron.")
@options.project
def command(interval: str, project: Path | None, *, once: bool) -> None:
    """Look at every model again and again; turn the loop of those that are due. Ends on Ctrl-C or SIGTERM."""
    seconds = parse_span(interval).total_seconds()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: _end(stop))
    with options.workspace(project) as workspace:
        if once:
            _tell(workspace.tick())
            return
        output.note(
            f"Watching {', '.join(workspace.project.models) or 'no model'} every {interval}. Ctrl-C ends it."
        )
        try:
            workspace.watch(interval=seconds, stop=stop)
        except KeyboardInterrupt:
            if not stop.is_set():
                raise


def _end(stop: threading.Event) -> None:
    """End at once, also within a training: who sends SIGTERM sends SIGKILL soon, and the next one goes on with the run."""
    stop.set()
    raise KeyboardInterrupt


def _tell(looks: list[Look]) -> None:
    for look in looks:
        if look.decision and not look.error:
            output.note(f"{look.model}: {look.decision.reason}")
    failures = [look.failure for look in looks if look.failure and not look.may_pass]
    if failures:
        raise click.exceptions.Exit(exit_code(failures[0]))
