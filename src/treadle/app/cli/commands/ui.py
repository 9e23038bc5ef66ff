"""`treadle ui`: the dashboard and the team server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("ui")
@click.option("--port", type=int, help="Port to listen on (setting ui.port).")
@click.option("--listen", help="Address to listen on (setting ui.host).")
@options.project
def command(port: int | None, listen: str | None, project: Path | None) -> None:
    """Show the project in a browser, and let programs use its workspace over HTTP. Ctrl-C ends it."""
    from treadle.app.http.server import serve

    given = {"ui.port": port, "ui.host": listen}
    serve(project, {key: value for key, value in given.items() if value is not None}, say=output.note)
    # Granian's threads may still be at work; an interpreter that takes itself apart under them is aborted.
    sys.stdout.flush()
    os._exit(0)
