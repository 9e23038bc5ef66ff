"""Places that sources read, each empty at first: folders, buckets, frames, tables on three databases, brokers."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import obstore
import polars as pl
from obstore.store import S3Store

from treadle.data.sources.files import Files
from treadle.data.sources.frame import Frame
from treadle.data.sources.stream import Stream
from treadle.data.sources.table import Table
from treadle.testing.sources import Offer, Row

_SCHEMA = {"id": pl.Int64, "name": pl.String, "score": pl.Float64, "stamp": pl.Int64}
_COLUMNS = "id bigint, name varchar, score double precision, stamp bigint"


@contextmanager
def folder(root: Path) -> Iterator[Offer]:
    """Files in a folder."""
    (root / "in").mkdir()

    def land(rows: Sequence[Row]) -> None:
        frame(rows).write_parquet(root / "in" / f"{rows[0]['id']:06d}.parquet")

    yield Offer(root=root, declare=lambda: Files("in/*.parquet"), land=land)


@contextmanager
def bucket(root: Path, *, url: str, options: dict[str, str]) -> Iterator[Offer]:
    """Objects below `url`, `s3://bucket/prefix`; the `AWS_*` variables are set."""
    name, _, prefix = url.removeprefix("s3://").partition("/")
    config: Any = {key: value for key, value in options.items() if key != "AWS_ALLOW_HTTP"}
    store = S3Store(name, config=config, client_options={"allow_http": True})

    def land(rows: Sequence[Row]) -> None:
        obstore.put(store, f"{prefix}/in/{rows[0]['id']:06d}.jsonl", lines(rows))

    yield Offer(root=root, declare=lambda: Files(f"{url}/in/*.jsonl"), land=land)


@contextmanager
def memory(root: Path) -> Iterator[Offer]:
    """A frame that a function returns."""
    held: list[Row] = []
    broken: list[str] = []

    def rows() -> pl.DataFrame:
        if broken:
            raise ConnectionError(broken[0])
        return frame(held)

    yield Offer(
        root=root,
        declare=lambda: Frame(rows, batch_rows=100),
        land=held.extend,
        lose=lambda: broken.append("no such host"),
    )


@contextmanager
def sqlite(root: Path, *, watermark: str | None = "stamp") -> Iterator[Offer]:
    """A table of SQLite."""
    path = root / "rows.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE rows ({_COLUMNS})")

        def land(rows: Sequence[Row]) -> None:
            connection.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, ?)", [tuple(row.values()) for row in rows]
            )
            connection.commit()

        yield Offer(
            root=root,
            declare=lambda: Table(
                "rows", connection="sqlite:///rows.db", watermark=watermark, batch_rows=100
            ),
            land=land,
            lose=path.unlink,
        )


@contextmanager
def duckdb(root: Path, *, watermark: str | None = "stamp") -> Iterator[Offer]:
    """A table of DuckDB."""
    import duckdb as library

    path = root / "rows.duckdb"

    def land(rows: Sequence[Row]) -> None:
        with library.connect(str(path)) as connection:
            connection.register("fresh", frame(rows).to_arrow())
            connection.execute("INSERT INTO rows SELECT * FROM fresh")

    with library.connect(str(path)) as connection:
        connection.execute(f"CREATE TABLE rows ({_COLUMNS})")
    yield Offer(
        root=root,
        declare=lambda: Table(
            "rows", connection="duckdb:///rows.duckdb", watermark=watermark, batch_rows=100
        ),
        land=land,
        lose=path.unlink,
    )


@contextmanager
def postgresql(root: Path, *, server: str, watermark: str | None = "stamp") -> Iterator[Offer]:
    """A table of PostgreSQL, in a schema of its own; the declaration has a password, which the server does not ask for."""
    import psycopg

    schema = f"treadle_{uuid.uuid4().hex[:12]}"
    secret = "pa55word-of-nobody"
    user, _, place = server.removeprefix("postgresql://").partition("@")
    address = f"postgresql://{user}:{secret}@{place}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(f"CREATE TABLE {schema}.rows ({_COLUMNS})")

        def land(rows: Sequence[Row]) -> None:
            with connection.cursor() as cursor:
                cursor.executemany(
                    f"INSERT INTO {schema}.rows VALUES (%s, %s, %s, %s)",
                    [tuple(row.values()) for row in rows],
                )

        try:
            yield Offer(
                root=root,
                declare=lambda: Table(
                    f"{schema}.rows", connection=address, watermark=watermark, batch_rows=100
                ),
                land=land,
                lose=lambda: connection.execute(f"DROP SCHEMA {schema} CASCADE"),
                secret=secret,
            )
        finally:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@contextmanager
def rabbitmq(root: Path, *, server: str) -> Iterator[Offer]:
    """A durable queue of RabbitMQ."""
    import pika

    queue = f"treadle-{uuid.uuid4().hex[:12]}"
    with closing(pika.BlockingConnection(pika.URLParameters(f"{server}/%2F"))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue, durable=True)

        def land(rows: Sequence[Row]) -> None:
            for line in lines(rows).splitlines():
                channel.basic_publish("", queue, line)

        try:
            yield Offer(
                root=root,
                declare=lambda: Stream(f"{server}/{queue}", batch_rows=100, batch_seconds=5),
                land=land,
                lose=lambda: channel.queue_delete(queue),
                secret="guest:guest",
            )
        finally:
            channel.queue_delete(queue)


@contextmanager
def nats(root: Path, *, server: str) -> Iterator[Offer]:
    """A stream of NATS JetStream."""
    stream = f"treadle-{uuid.uuid4().hex[:12]}"
    asyncio.run(in_jetstream(server, lambda js: js.add_stream(name=stream, subjects=[f"{stream}.>"])))

    def land(rows: Sequence[Row]) -> None:
        asyncio.run(publish(server, f"{stream}.rows", lines(rows).splitlines()))

    yield Offer(
        root=root,
        declare=lambda: Stream(f"{server}/{stream}?durable=treadle", batch_rows=100, batch_seconds=0.3),
        land=land,
        lose=lambda: asyncio.run(in_jetstream(server, lambda js: js.delete_stream(stream))),
    )


async def publish(server: str, subject: str, bodies: Sequence[bytes]) -> None:
    """Publish messages, each confirmed by the server."""

    async def all_of_them(js: Any) -> None:
        for body in bodies:
            await js.publish(subject, body)

    await in_jetstream(server, all_of_them)


async def in_jetstream(server: str, work: Any) -> Any:
    """Do something with a connection of its own."""
    import nats as library

    client = await library.connect(server)
    try:
        return await work(client.jetstream())
    finally:
        await client.close()


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows as a frame."""
    return pl.DataFrame(rows, schema=_SCHEMA)


def lines(rows: Sequence[Row]) -> bytes:
    """Return rows as JSON lines."""
    return "\n".join(json.dumps(row) for row in rows).encode()
