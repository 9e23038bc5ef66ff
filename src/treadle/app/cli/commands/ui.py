"""`treadle ui`: the dashboard and the team server."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("ui")
@click.option("--port", type=int, default=8500, show_default=True, help="Port to listen on.")
@click.option("--listen", default="127.0.0.1", show_default=True, help="Address to listen on.")
@options.project
def command(port: int, listen: str, project: Path | None) -> None:
    """Show the project in a browser, and let programs use its workspace over HTTP. Ctrl-C ends it."""
    from treadle.app.http.server import serve

    serve(project, host=listen, port=port, overrides={}, say=output.note)
