"""Cells of each database keep their values, and its tables become datasets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime

import duckdb
import polars as pl
import psycopg
import pytest

import services
import source_places as places
from read_tables import Reading, table
from treadle.core.errors import SourceUnreadable
from treadle.data.contracts import Contract
from treadle.data.datasets import Dataset


def test_sqlite_cells_keep_their_values(tmp_path):
    with closing(sqlite3.connect(tmp_path / "sales.db")) as connection:
        connection.execute(
            "CREATE TABLE flights (id INTEGER, big INTEGER, price DECIMAL(9, 2), yes BOOLEAN, day DATE, at DATETIME, any)"
        )
        connection.execute(
            "INSERT INTO flights VALUES (1, 9007199254740993, 1.25, 1, '2013-01-31', '2013-01-31T05:00:00.25', 'x')"
        )
        connection.execute("INSERT INTO flights VALUES (2, NULL, 2, 0, NULL, '2013-01-31 05:00', 7)")
        connection.commit()

    (raw,) = Reading(tmp_path, table(watermark=None)).batches()

    moments = [
        datetime(2013, 1, 31, 5, microsecond=250_000, tzinfo=UTC),
        datetime(2013, 1, 31, 5, tzinfo=UTC),
    ]
    assert raw.frame.rows() == [
        (1, 9007199254740993, 1.25, True, date(2013, 1, 31), moments[0], '"x"'),
        (2, None, 2.0, False, None, moments[1], "7"),
    ]
    assert raw.mixed == {"any"}


def test_duckdb_types_become_types_of_a_dataset(tmp_path):
    with duckdb.connect(str(tmp_path / "sales.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE flights (id INT, u UUID, j JSON, d DECIMAL(12, 2), h HUGEINT, e ENUM('a', 'b'), n TIMESTAMP_NS,"
            " z TIMESTAMPTZ, t TIME, v FLOAT[])"
        )
        connection.execute(
            "INSERT INTO flights VALUES (1, '6ba7b810-9dad-11d1-80b4-00c04fd430c8', '{\"a\":1}', 1.25, 5, 'a',"
            " '2013-01-31 05:00:00.123456789', '2013-01-31 05:00:00+02', '05:00', [0.5]),"
            " (2, NULL, NULL, NULL, 170141183460469231731687303715884105727, NULL, NULL, NULL, NULL, NULL)"
        )

    (raw,) = Reading(tmp_path, table(connection="duckdb:///sales.duckdb", watermark=None)).batches()

    row = raw.frame.row(0, named=True)
    assert (row["u"], row["j"], row["t"]) == ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", '{"a":1}', "05:00:00")
    assert (float(row["d"]), row["h"], row["e"], row["v"]) == (1.25, 5, "a", [0.5])
    assert raw.frame["n"].dt.nanosecond()[0] == 123456789
    assert row["z"] == datetime(2013, 1, 31, 3, tzinfo=UTC)
    assert list(raw.broken) == [2]
    assert "h: 1701411834604692317" in raw.broken[2]


def test_nanoseconds_of_a_watermark_are_kept(tmp_path):
    with duckdb.connect(str(tmp_path / "sales.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE flights AS SELECT i AS id, make_timestamp_ns(1000000000 + i) AS updated_at FROM range(10) t(i)"
        )
    reading = Reading(tmp_path, table(connection="duckdb:///sales.duckdb", batch_rows=2))

    assert reading.ids() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert reading.position["last"][0] == "1970-01-01 00:00:01.000000009"


@pytest.fixture
def postgres(postgresql_server):
    with (
        services.fresh_database(postgresql_server) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        yield connection, url


def test_postgresql_types_become_types_of_a_dataset(tmp_path, postgres):
    connection, url = postgres
    connection.execute("CREATE TYPE mood AS ENUM ('calm', 'wild')")
    connection.execute(
        "CREATE TABLE flights (id BIGINT, u UUID, j JSONB, d NUMERIC(12, 2), n NUMERIC, w NUMERIC(18), z TIMESTAMPTZ,"
        " l TIMESTAMP, day DATE, t TIME, i INET, m mood, s INTERVAL, v FLOAT8[], f REAL)"
    )
    connection.execute(
        "INSERT INTO flights VALUES (1, '6ba7b810-9dad-11d1-80b4-00c04fd430c8', '{\"a\": 1}', 1.25, 0.1, 7,"
        " '2013-01-31 05:00+02', '2013-01-31 05:00', '2013-01-31', '05:00', '10.0.0.1', 'wild', '1 day', '{0.5}', 1.5),"
        " (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
    )

    (raw,) = Reading(tmp_path, table(connection=url, watermark=None)).batches()

    row = raw.frame.row(0, named=True)
    assert (row["u"], row["j"]) == ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", '{"a": 1}')
    assert (float(row["d"]), row["n"], row["w"], row["f"]) == (1.25, 0.1, 7, 1.5)
    assert (row["z"], row["l"].isoformat()) == (datetime(2013, 1, 31, 3, tzinfo=UTC), "2013-01-31T05:00:00")
    assert (row["day"], row["t"], row["m"], row["s"]) == (date(2013, 1, 31), "05:00:00", "wild", "1 day")
    assert (row["i"], row["v"]) == ("10.0.0.1/32", [0.5])
    assert set(raw.frame.row(1)) == {2, None}


KEYS = {
    "UUID": "('00000000-0000-4000-8000-0000000000' || lpad(i::text, 2, '0'))::uuid",
    "TEXT": "'Zoë ' || chr(65 + i)",
    "DATE": "DATE '2013-01-01' + i",
    "TIMESTAMPTZ": "TIMESTAMPTZ '2013-01-01 00:00:00.000001+00' + i * INTERVAL '1 microsecond'",
    "NUMERIC(20)": "i + 9007199254740993",
    "BOOLEAN, more BIGINT": "i % 2 = 0, i",
}


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_is_found_again(tmp_path, postgres, kind):
    connection, url = postgres
    connection.execute(f"CREATE TABLE flights (id {kind})")
    connection.execute(f"INSERT INTO flights SELECT {KEYS[kind]} FROM generate_series(0, 9) t(i)")
    key = ("id", "more") if "more" in kind else ("id",)
    reading = Reading(tmp_path, table(connection=url, watermark=None, batch_rows=3), key=key)

    pages = [raw.frame for raw in reading.batches()]

    assert [page.height for page in pages] == [3, 3, 3, 1]
    assert pl.concat(pages).unique().height == 10
    assert reading.batches() == []


def test_a_query_of_postgresql_needs_no_right_to_write(tmp_path, postgres):
    connection, url = postgres
    connection.execute(
        "CREATE TABLE flights AS SELECT i AS id, now() AS updated_at FROM generate_series(1, 5) i"
    )
    name = url.rpartition("/")[2]
    connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    reading = Reading(
        tmp_path, table(connection=url, query="SELECT id, updated_at FROM flights WHERE id > 2")
    )

    assert reading.ids() == [[3, 4, 5]]


def test_a_connection_that_breaks_is_told_and_the_next_pass_goes_on(tmp_path, postgres):
    connection, url = postgres
    connection.execute("CREATE TABLE flights AS SELECT i AS id, i AS updated_at FROM generate_series(1, 9) i")
    user, _, place = url.partition("@")
    host, _, name = place.partition("/")
    with services.Wire(int(host.partition(":")[2])) as wire:
        reading = Reading(tmp_path, table(connection=f"{user}@127.0.0.1:{wire.port}/{name}", batch_rows=3))
        with reading.table.batches(tmp_path, after=None, key=("id",)) as batches:
            reading.position = next(batches).position
            wire.cut()

            with pytest.raises(SourceUnreadable, match=f"127.0.0.1:{wire.port}/{name} cannot be read"):
                next(batches)

        assert reading.ids() == [[4, 5, 6], [7, 8, 9]]


class Flight(Contract):
    id: int
    name: str | None
    score: float | None
    stamp: int


@pytest.mark.parametrize("place", ["sqlite", "duckdb", "postgresql"])
def test_a_table_becomes_versions_of_a_dataset(tmp_path, datasets, request, place):
    options = {"server": request.getfixturevalue("postgresql_server")} if place == "postgresql" else {}
    with getattr(places, place)(tmp_path, **options) as offer:
        dataset = Dataset("flights", source=offer.declare(), contract=Flight, key="id", updated="stamp")
        rows = [{"id": i, "name": f"n{i}", "score": 0.5, "stamp": i} for i in range(250)]
        offer.land(rows)
        datasets.ingest(dataset)
        first = datasets.version("flights")
        offer.land(
            [{"id": 7, "name": "corrected", "score": 0.5, "stamp": 300}, rows[0] | {"id": 251, "stamp": 301}]
        )

        second = datasets.ingest(dataset)

        assert (first.rows, first.version) == (250, 3)
        assert (second.rows, second.corrected, second.accepted) == (251, 1, 2)
        assert datasets.read("flights").filter(pl.col("id") == 7)["name"].to_list() == ["corrected"]
        assert datasets.ingest(dataset) is None
