from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from read_tables import Reading, table
from treadle.core.errors import InvalidDeclaration, SettingsError, SourceUnreadable
from treadle.data.sources.table import Table

BEGIN = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def flights(tmp_path):
    """A table of SQLite with a moment that grows with each change."""
    with closing(sqlite3.connect(tmp_path / "sales.db")) as connection:
        connection.execute("CREATE TABLE flights (id INTEGER, updated_at TIMESTAMP, delay REAL)")
        connection.execute("CREATE INDEX by_change ON flights (updated_at, id)")

        def put(*rows):
            connection.executemany(
                "INSERT INTO flights VALUES (?, ?, ?)", [(i, moment(seconds), 0.5) for i, seconds in rows]
            )
            connection.commit()

        put.execute = lambda sql: (connection.execute(sql), connection.commit())
        yield put


def moment(seconds) -> str | None:
    return None if seconds is None else f"{BEGIN + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"


def test_a_row_that_was_stamped_earlier_and_committed_later_is_read(tmp_path, flights):
    flights((1, 0), (2, 900), (3, 1000))
    reading = Reading(tmp_path, table())
    reading.batches()
    flights((4, 950), (5, 1001))

    assert reading.ids() == [[2, 4, 3, 5]]
    assert reading.ids() == []


def test_a_row_beyond_the_overlap_is_not_looked_for(tmp_path, flights):
    flights((1, 0), (2, 1000))
    reading = Reading(tmp_path, table(overlap="1m"))
    reading.batches()
    flights((3, 100), (4, 1001))

    assert reading.ids() == [[4]]


def test_a_changed_row_comes_again(tmp_path, flights):
    flights((1, 0), (2, 0), (3, 0))
    reading = Reading(tmp_path, table())
    reading.batches()
    flights.execute(f"UPDATE flights SET delay = 9, updated_at = '{moment(60)}' WHERE id = 2")

    (raw,) = reading.batches()

    assert raw.frame.filter(pl.col("id") == 2)["delay"].to_list() == [9.0]


def test_a_row_that_changes_within_its_stamp_comes_again(tmp_path, flights):
    flights((1, 0), (2, 0))
    reading = Reading(tmp_path, table())
    reading.batches()
    flights.execute("UPDATE flights SET delay = 9 WHERE id = 2")

    (raw,) = reading.batches()

    assert raw.frame["delay"].to_list() == [0.5, 9.0]


def test_a_table_that_no_longer_changes_is_settled_once(tmp_path, flights):
    flights(*((i, 0) for i in range(10)))
    reading = Reading(tmp_path, table(batch_rows=3))
    reading.batches()

    assert reading.ids() == []
    reading.let_time_pass()
    assert reading.ids() == [[]]
    assert reading.ids() == []

    flights((10, 5))
    assert reading.ids() == [[10]]


def test_rows_with_the_same_stamp_are_paged_by_their_key(tmp_path, flights):
    flights(*((i, i // 7) for i in random.sample(range(100), 100)))

    pages = Reading(tmp_path, table(batch_rows=4)).ids()

    assert [i for page in pages for i in page] == list(range(100))
    assert {len(page) for page in pages} == {4}


def test_a_pass_that_was_interrupted_goes_on_and_still_looks_again(tmp_path, flights):
    flights(*((i, 1000 + i) for i in range(10)))
    reading = Reading(tmp_path, table(batch_rows=3))

    assert reading.ids(most=2) == [[0, 1, 2], [3, 4, 5]]
    flights((100, 1001), (11, 1000 + 86_400))
    assert reading.ids() == [[6, 7, 8], [9, 11]]
    assert 100 in [i for page in reading.ids() for i in page]


def test_rows_that_come_while_reading_wait_for_the_next_pass(tmp_path, flights):
    flights(*((i, i) for i in range(6)))
    reading = Reading(tmp_path, table(batch_rows=3))

    with reading.table.batches(tmp_path, after=None, key=("id",)) as batches:
        next(batches)
        flights((6, 6), (7, 7))
        found = [batch.raw.frame["id"].to_list() for batch in batches]

    assert found == [[3, 4, 5]]


def test_a_row_without_a_watermark_goes_to_quarantine_once(tmp_path, flights):
    flights((1, 0), (2, None), (3, 10))
    reading = Reading(tmp_path, table())

    strange, rows = reading.batches()
    assert strange.frame["id"].to_list() == [2]
    assert strange.broken == {
        1: "updated_at: has no value, and it is the watermark, which says when a row is new"
    }
    assert rows.frame["id"].to_list() == [1, 3]
    assert reading.ids() == []

    flights.execute(f"UPDATE flights SET updated_at = '{moment(20)}' WHERE id = 2")
    assert reading.ids() == [[2]]


def test_a_row_without_a_key_is_given_to_the_contract(tmp_path, flights):
    flights((None, 5), (1, 0), (2, 10))
    reading = Reading(tmp_path, table(batch_rows=2))

    assert reading.ids() == [[None], [1, 2]]
    assert reading.ids() == []


def test_a_watermark_that_nobody_sets_is_told(tmp_path, flights):
    flights(*((i, None) for i in range(10)))

    with pytest.raises(
        SourceUnreadable, match="More than 5 rows of table flights have no value in 'updated_at'"
    ):
        Reading(tmp_path, table(batch_rows=5)).batches()


def test_without_a_watermark_only_pages_that_changed_come_again(tmp_path, flights):
    flights(*((i, 0) for i in range(9)))
    reading = Reading(tmp_path, table(watermark=None, batch_rows=3))
    assert reading.ids() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert reading.ids() == []

    flights.execute("UPDATE flights SET delay = 9 WHERE id = 4")
    assert reading.ids() == [[3, 4, 5]]

    flights((9, 0))
    assert reading.ids(most=1) == [[9]]
    assert reading.ids() == []


def test_composite_keys_are_paged_in_order(tmp_path, flights):
    rows = [(i // 4, i % 4 * 10) for i in range(40)]
    flights(*random.sample(rows, 40))
    reading = Reading(tmp_path, table(watermark=None, batch_rows=7), key=("id", "updated_at"))

    found = pl.concat([raw.frame for raw in reading.batches()])

    assert found["id"].to_list() == [i for i, _ in rows]
    assert reading.batches() == []


@pytest.mark.parametrize("key", [("id",), ("delay", "id")])
def test_a_number_that_only_grows_is_key_and_watermark(tmp_path, flights, key):
    flights(*((i, 0) for i in range(7)))
    reading = Reading(
        tmp_path, table(watermark="id", overlap=2, batch_rows=3, query="SELECT id, 1 AS delay FROM flights")
    )
    reading.key = key
    read = [raw.frame["id"].to_list() for raw in reading.batches()]
    flights((7, 0), (8, 0))

    assert read == [[0, 1, 2], [3, 4, 5], [6]]
    assert [raw.frame["id"].to_list() for raw in reading.batches()] == [[7, 8]]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_between_the_passes_nothing_is_missing(tmp_path, flights, seed):
    """Rows come late, change and vanish, passes are interrupted: in the end the newest form of every row was read."""
    chance = random.Random(seed)
    reading = Reading(tmp_path, table(batch_rows=chance.randint(3, 12), overlap="1m"))
    now, ids, seen = 1000, 0, {}
    for _ in range(25):
        now += chance.randint(0, 40)
        late = [(ids := ids + 1, now - chance.randint(0, 25)) for _ in range(chance.randint(0, 6))]
        flights(*late)
        flights.execute(
            f"UPDATE flights SET delay = {now}, updated_at = '{moment(now)}' WHERE id % 17 = {chance.randint(0, 16)}"
        )
        for raw in reading.batches(most=chance.choice([None, None, 1, 2])):
            seen |= {row["id"]: row["delay"] for row in raw.frame.to_dicts()}

    for raw in (*reading.batches(), *reading.batches()):
        seen |= {row["id"]: row["delay"] for row in raw.frame.to_dicts()}
    with closing(sqlite3.connect(tmp_path / "sales.db")) as connection:
        expected = dict(connection.execute("SELECT id, delay FROM flights"))
    assert {key: seen.get(key) for key in expected} == expected


def test_a_query_and_a_function_choose_rows(tmp_path, flights):
    flights(*((i, i) for i in range(10)))

    text = table(query="SELECT id, updated_at FROM flights WHERE id > 7;")
    function = table(query=lambda t: t.filter(t.id > 7).drop("delay"))

    for source in (text, function):
        (raw,) = Reading(tmp_path, source).batches()
        assert raw.frame.columns == ["id", "updated_at"]
        assert raw.frame["id"].to_list() == [8, 9]
    assert text.spec()["query"] != function.spec()["query"]
    assert "t.id > 7" in function.spec()["query"]


@pytest.mark.parametrize("query", [lambda t: t.filter(t.nothing > 1), lambda t: None])
def test_a_function_that_makes_no_query_is_told(tmp_path, flights, query):
    with pytest.raises(
        SourceUnreadable, match="The query of the table 'flights' failed, or returned no Ibis table"
    ):
        Reading(tmp_path, table(query=query)).batches()


def test_another_query_is_read_from_its_beginning(tmp_path, flights):
    flights((1, 0), (2, 10))
    reading = Reading(tmp_path, table())
    reading.batches()

    reading.table = table(query="SELECT * FROM flights WHERE id < 2")

    assert reading.ids() == [[1]]


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("2013-01-01T00:05:00Z", "2012-12-31T23:55:00Z"),
        ("2013-01-01 00:05:00.5", "2012-12-31 23:55:00.5"),
        ("2013-01-01 00:05", "2012-12-31 23:55"),
        ("2013-01-01T00:05:00.123456789+02:00", "2012-12-31T23:55:00.123456000+02:00"),
        ("2013-01-01", "2012-12-31"),
    ],
)
def test_text_is_a_watermark_in_any_way_of_writing_moments(tmp_path, text, earlier):
    with closing(sqlite3.connect(tmp_path / "sales.db")) as connection:
        connection.execute("CREATE TABLE flights (id INTEGER, updated_at TEXT)")
        connection.execute("INSERT INTO flights VALUES (1, ?)", (text,))
        connection.commit()
    reading = Reading(tmp_path, table())

    assert reading.ids() == [[1]]
    assert (reading.position["last"][0], reading.position["recheck"]) == (text, earlier)
    assert reading.ids() == []


def test_a_day_is_looked_at_again_as_long_as_it_lasts(tmp_path):
    with duckdb.connect(str(tmp_path / "sales.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE flights AS SELECT * FROM (VALUES (5, DATE '2013-01-02')) t(id, updated_at)"
        )
    reading = Reading(tmp_path, table(connection="duckdb:///sales.duckdb"))
    assert reading.ids() == [[5]]

    with duckdb.connect(str(tmp_path / "sales.duckdb")) as connection:
        connection.execute("INSERT INTO flights VALUES (3, '2013-01-02')")

    assert reading.ids() == [[3, 5]]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"watermark": "changed"}, r"has no column 'changed'. Available: delay, id, updated_at"),
        ({"watermark": "delay"}, "'delay' is float64, which gives rows no exact order"),
        ({"connection": "sqlite:///none.db"}, "there is no file .*none.db"),
        ({"query": "SELECT other FROM flights"}, "cannot be read: no such column: other"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, flights, options, told):
    with pytest.raises(SourceUnreadable, match=told):
        Reading(tmp_path, table(**options)).batches()


def test_a_table_that_is_not_there_is_told_with_the_nearest_name(tmp_path, flights):
    source = Table("fligths", connection="sqlite:///sales.db")

    with pytest.raises(
        SourceUnreadable, match="no table 'fligths'. Available: flights. Did you mean 'flights'"
    ):
        Reading(tmp_path, source).batches()


def test_text_that_is_no_moment_is_told(tmp_path):
    with closing(sqlite3.connect(tmp_path / "sales.db")) as connection:
        connection.execute("CREATE TABLE flights (id INTEGER, updated_at TEXT)")
        connection.execute("INSERT INTO flights VALUES (1, 'yesterday')")
        connection.commit()

    with pytest.raises(SourceUnreadable, match="the watermark holds 'yesterday'"):
        Reading(tmp_path, table()).batches()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"connection": "sales.db"}, "connection"),
        ({"overlap": "soon"}, "overlap"),
        ({"overlap": -1}, "overlap"),
        ({"batch_rows": 0}, "batch_rows"),
    ],
)
def test_declarations_that_cannot_hold_are_refused(options, field):
    with pytest.raises(InvalidDeclaration, match="xpected") as caught:
        table(**options)

    assert caught.value.field == field


@pytest.mark.parametrize(("watermark", "overlap"), [("id", "10m"), ("updated_at", 100)])
def test_an_overlap_that_does_not_fit_the_watermark_is_refused(tmp_path, flights, watermark, overlap):
    flights((1, 0))

    with pytest.raises(InvalidDeclaration, match="does not fit a watermark of the type"):
        Reading(tmp_path, table(watermark=watermark, overlap=overlap)).batches()


def test_a_connection_can_come_from_a_variable_or_a_file(tmp_path, flights, monkeypatch):
    flights((1, 0))
    source = table(connection="env:SALES_URL")
    monkeypatch.delenv("SALES_URL", raising=False)
    with pytest.raises(SettingsError, match="no variable SALES_URL, and none SALES_URL_FILE"):
        Reading(tmp_path, source).batches()

    (tmp_path / "secret").write_text("sqlite:///sales.db\n")
    monkeypatch.setenv("SALES_URL_FILE", str(tmp_path / "secret"))

    assert Reading(tmp_path, source).ids() == [[1]]
    assert source.spec()["connection"] == "env:SALES_URL"


def test_a_password_is_in_no_message_and_in_no_record():
    source = Table("t", connection="postgresql://ann:s3cr%2Bt@127.0.0.1:1/sales?password=s3cr%2Bt")

    with pytest.raises(SourceUnreadable) as caught:
        Reading(Path(), source).batches()

    assert source.spec()["connection"] == "postgresql://ann@127.0.0.1:1/sales"
    for told in (str(caught.value), json.dumps(source.spec())):
        assert "s3cr" not in told
    assert "127.0.0.1:1" in str(caught.value)
