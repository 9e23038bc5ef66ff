"""`treadle stream`: answer messages of a broker."""

from __future__ import annotations

from pathlib import Path

import click

from treadle.app.cli import options, output


@click.command("stream")
@click.argument("endpoint")
@click.option(
    "--from",
    "source",
    required=True,
    help="Where messages come from, as amqp://host/queue; env:NAME takes it from a variable.",
)
@click.option(
    "--to",
    "sink",
    required=True,
    help="Where predictions go, as nats://host/subject; env:NAME takes it from a variable.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 10_000),
    default=256,
    show_default=True,
    help="How many messages are answered together at most.",
)
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that gets the stream's metrics, for node-exporter's textfile collector.",
)
@options.project
def command(
    endpoint: str, source: str, sink: str, batch: int, metrics_file: Path | None, project: Path | None
) -> None:
    """Answer messages with ENDPOINT: RabbitMQ, NATS JetStream and Redis streams. Ends on Ctrl-C or SIGTERM."""
    from treadle.app.stream import carry

    with options.workspace(project) as workspace:
        carry(
            workspace,
            endpoint,
            source=source,
            sink=sink,
            batch=batch,
            say=output.note,
            metrics_file=metrics_file,
        )
