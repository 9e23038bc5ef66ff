"""`treadle serve`: predictions over HTTP and gRPC."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("serve")
@click.option("--host", help="Address to listen on (setting serving.host).")
@click.option("--port", type=int, help="Port to listen on (setting serving.port).")
@click.option("--grpc-port", type=int, help="Port to listen on for gRPC (setting serving.grpc_port).")
@click.option("--workers", type=int, help="Worker processes (setting serving.workers).")
@click.option("--durability", type=click.Choice(["async", "sync"]), help="Setting serving.durability.")
@options.project
def command(
    host: str | None,
    port: int | None,
    grpc_port: int | None,
    workers: int | None,
    durability: str | None,
    project: Path | None,
) -> None:
    """Answer predictions for every endpoint; new revisions are taken up without a restart. Ctrl-C ends it."""
    from treadle.app.serve import serve

    given = {"host": host, "port": port, "grpc_port": grpc_port, "workers": workers, "durability": durability}
    serve(
        project,
        {f"serving.{key}": value for key, value in given.items() if value is not None},
        say=output.note,
    )
