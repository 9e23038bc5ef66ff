"""CPU of reading a table of PostgreSQL in batches that can be resumed, against one cursor that reads it once."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import psycopg

import treadle as td
from harness import Benchmark, cpu_of

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import services

BATCH = 200_000
CHUNK = 2_000
SCHEMA = {
    "id": pl.Int64,
    "updated_at": pl.Datetime("us", "UTC"),
    "carrier": pl.String,
    "distance": pl.Int64,
    "delay": pl.Float64,
    "late": pl.Boolean,
}


@dataclass
class Input:
    """A table in a database of its own."""

    url: str
    rows: int
    opened: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Drop the database."""
        self.opened.close()


def prepare(folder: Path, quick: bool) -> Input:
    """Make the table: 1,000,000 rows with an index on the watermark and the key."""
    rows = 20_000 if quick else 1_000_000
    opened = ExitStack()
    url = opened.enter_context(services.fresh_database(opened.enter_context(services.postgresql())))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE flights AS SELECT i AS id, timestamptz '2013-01-01' + i * interval '3 seconds' AS updated_at,"
            " 'c' || i % 16 AS carrier, i % 5000 AS distance, (i % 977) / 7.0::float8 AS delay, i % 5 = 0 AS late"
            f" FROM generate_series(1::bigint, {rows}) i"
        )
        connection.execute("ALTER TABLE flights ALTER id SET NOT NULL, ALTER updated_at SET NOT NULL")
        connection.execute("CREATE UNIQUE INDEX ON flights (updated_at, id)")
        connection.execute("ANALYZE flights")
    return Input(url, rows, opened)


def ours(given: Input) -> float:
    """Read all batches, each of them with its place, up to the settled end."""
    source = td.Table("flights", connection=given.url, watermark="updated_at", batch_rows=BATCH)

    def work() -> None:
        with source.batches(Path(), after=None, key=("id",)) as batches:
            assert sum(batch.raw.frame.height for batch in batches) == given.rows

    return cpu_of(work)


def floor(given: Input) -> float:
    """Read with one cursor on the server's side into frames, which cannot be resumed."""

    def work() -> None:
        rows = 0
        with psycopg.connect(given.url) as connection, connection.cursor(name="all") as cursor:
            cursor.execute("SELECT * FROM flights ORDER BY updated_at, id")
            while piece := cursor.fetchmany(CHUNK):
                rows += pl.DataFrame(piece, schema=SCHEMA, orient="row").height
        assert rows == given.rows

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="1,000,000 rows of a PostgreSQL table, in batches that can be resumed",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.5,
)
