"""`treadle watch`: turn the loop whenever a policy says so."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from treadle.app.cli import options, output
from treadle.core.clock import parse_span


@click.command("watch", short_help="Turn the loop whenever a policy says so.")
@click.option("--interval", default="30s", show_default=True, help="How often to look.")
@click.option("--once", is_flag=True, help="Look once and end, as from cron.")
@options.project
def command(interval: str, project: Path | None, *, once: bool) -> None:
    """Look at every model again and again; turn the loop of those that are due. Ends on Ctrl-C or SIGTERM."""
    seconds = parse_span(interval).total_seconds()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with options.workspace(project) as workspace:
        if once:
            for look in workspace.tick():
                output.note(f"{look.decision.model}: {look.error or look.decision.reason}")
            return
        output.note(
            f"Watching {', '.join(workspace.project.models) or 'no model'} every {interval}. Ctrl-C ends it."
        )
        workspace.watch(interval=seconds, stop=stop)
