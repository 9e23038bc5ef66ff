"""One declaration, every database: what the SQL of those that no test can reach says."""

from __future__ import annotations

from types import SimpleNamespace

import duckdb
import ibis
import pytest
import sqlglot
from sqlglot import expressions as sql

from treadle.data.sources._keyset import Keyset

#: Dialect → how it sorts nulls, as the connected database says.
DIALECTS = {"snowflake": False, "databricks": True, "bigquery": True, "postgres": False, "duckdb": False}
SCHEMA = {"carrier": "!string", "id": "!int64", "updated_at": "!timestamp('UTC')", "delay": "float64"}


def page(dialect, *, key=("carrier", "id"), behind, top="2013-01-01 09:00:00.000000+00:00"):
    """Return the SQL of the next page in a dialect."""
    rows = ibis.table(SCHEMA, name="flights", database="sales")
    engine = SimpleNamespace(kind=dialect, nulls_come_first=DIALECTS[dialect])
    keyset = Keyset(rows, watermark="updated_at", key=key, what="flights", engine=engine)
    return [
        ibis.to_sql(one.limit(100), dialect=dialect)
        for one in keyset.pages(start=None, behind=behind, top=top)
    ]


BEHIND = ("2013-01-01 05:00:00.000000+00:00", "AA", 7)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_page_is_ordered_bounded_and_behind_the_last_row(dialect):
    for text in page(dialect, behind=BEHIND):
        tree = sqlglot.parse_one(text, read=dialect)

        ordered = next(tree.find_all(sql.Order))
        assert [one.this.name for one in ordered.expressions] == ["updated_at", "carrier", "id"]
        assert {one.name for one in tree.find_all(sql.Column)} >= {"updated_at"}
        assert tree.find(sql.Limit).expression.name == "100"
        assert "NULLS" not in text
        assert tree.find(sql.Table).sql(dialect).replace('"', "").replace("`", "").startswith("sales.flights")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_pages_of_every_dialect_hold_the_same_rows(dialect):
    """The SQL for Snowflake, Databricks and BigQuery, translated back and run."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA sales")
        connection.execute(
            "CREATE TABLE sales.flights AS SELECT CASE WHEN i % 2 = 0 THEN 'AA' ELSE 'UA' END AS carrier, i AS id,"
            " TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_hours(i // 4) AS updated_at, 0.5 AS delay FROM range(48) t(i)"
        )
        rows = []
        for text in page(dialect, behind=BEHIND):
            (translated,) = sqlglot.transpile(text, read=dialect, write="duckdb")
            rows += connection.sql(translated.replace('"', "")).select("carrier, id").fetchall()

    hours = [(hour, carrier) for hour in range(5, 10) for carrier in ("AA", "UA")]
    expected = [
        (carrier, i)
        for hour, carrier in hours
        for i in range(hour * 4, hour * 4 + 4)
        if (i % 2 == 0) == (carrier == "AA") and (hour, carrier, i) > (5, "AA", 7)
    ]
    assert rows == expected


def test_a_page_asks_for_one_stretch_of_the_index_at_a_time():
    ties, rest = (" ".join(text.split()) for text in page("postgres", key=("id",), behind=(BEHIND[0], 7)))

    moment = "CAST('2013-01-01 05:00:00.000000+00:00' AS TIMESTAMPTZ)"
    assert f'"t0"."updated_at" = {moment} AND "t0"."id" > 7 ORDER BY' in ties
    assert f'WHERE "t0"."updated_at" > {moment} AND' in rest
    assert " OR " not in ties + rest
