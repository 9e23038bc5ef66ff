"""`treadle up`: server, watcher, worker and dashboard together."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("up")
@options.project
def command(project: Path | None) -> None:
    """Run the prediction server, the watcher, the worker and the dashboard. Works in an empty folder too. Ctrl-C ends all."""
    from treadle.app.up import up

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    up(project, say=output.note, stop=stop)
