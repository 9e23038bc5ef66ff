from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from treadle.data.profiles.leakage import leakage
from treadle.data.profiles.records import Leakage
from treadle.data.profiles.subject import Subject

ROWS = 6_000
AT = datetime(2013, 1, 1, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[3] / "examples" / "flights"


@pytest.fixture
def orders() -> pl.DataFrame:
    """Orders, of which some are returned: three honest columns, a key and a time."""
    random = np.random.default_rng(11)
    price, kind = random.lognormal(3, 1, ROWS), random.choice(["a", "b", "c"], ROWS)
    risk = 0.15 + 0.2 * (price > 40) + 0.1 * (kind == "a")
    return pl.DataFrame(
        {
            "id": [f"o{n}" for n in range(ROWS)],
            "at": [AT + timedelta(minutes=17 * n) for n in range(ROWS)],
            "price": price,
            "kind": kind,
            "noise": [None if n % 9 == 0 else float(x) for n, x in enumerate(random.normal(size=ROWS))],
            "returned": random.random(ROWS) < risk,
        }
    )


def examined(rows: pl.DataFrame, *, outcome: str = "returned") -> Leakage:
    return leakage(rows, Subject(key=("id",), time="at", outcomes=(outcome,)), outcome=outcome)


def rules(found: Leakage) -> dict[str, str]:
    return {suspect.column: suspect.rule for suspect in found.suspects}


def nulled(name: str, where: pl.Expr) -> pl.Expr:
    return pl.when(where).then(None).otherwise(pl.col(name)).alias(name)


def test_honest_columns_are_not_suspected(orders: pl.DataFrame):
    found = examined(orders)

    assert found.suspects == ()
    assert {one.column for one in found.skills} == {"id", "at", "price", "kind", "noise"}
    assert (found.kind, found.rows, found.skipped) == ("classes", ROWS, "")


def test_the_outcome_in_another_form_decides_it(orders: pl.DataFrame):
    refund = pl.when("returned").then(pl.col("price")).otherwise(0.0)

    found = examined(orders.with_columns(refund=refund))

    assert rules(found) == {"refund": "decides"}
    assert "alone decides returned" in found.suspects[0].text


def test_a_column_far_above_the_others_stands_out(orders: pl.DataFrame):
    random = np.random.default_rng(2)
    shipped = pl.col("returned").cast(pl.Float64) * 2.4 + pl.Series(random.normal(size=ROWS))

    found = examined(orders.with_columns(shipped=shipped))

    assert rules(found) == {"shipped": "stands-out"}


def test_a_good_column_among_good_ones_does_not_stand_out(orders: pl.DataFrame):
    random = np.random.default_rng(2)
    strong = {
        name: pl.col("returned").cast(pl.Float64) * lift + pl.Series(random.normal(size=ROWS))
        for name, lift in {"best": 2.2, "second": 1.6, "third": 1.2}.items()
    }

    found = examined(orders.with_columns(**strong))

    assert found.skills[0].column == "best"
    assert found.skills[0].explained > 0.25
    assert found.suspects == ()


def test_a_column_without_which_the_outcome_never_comes_is_suspected(orders: pl.DataFrame):
    lost = pl.int_range(pl.len()) % 23 == 0
    rows = orders.with_columns(arrived=pl.col("noise").fill_null(0.5)).with_columns(
        nulled("returned", lost), nulled("arrived", lost)
    )

    found = examined(rows)

    assert rules(found) == {"arrived": "missing-together"}
    assert "missing exactly where returned is never known" in found.suspects[0].text


def test_a_feed_that_failed_while_outcomes_are_awaited_is_not_suspected(orders: pl.DataFrame):
    recent = pl.int_range(pl.len()) > ROWS * 0.9
    rows = orders.with_columns(feed=pl.col("price")).with_columns(
        nulled("returned", recent), nulled("feed", recent)
    )

    found = examined(rows)

    assert found.suspects == ()


@pytest.mark.parametrize("when", ["missing", "there"])
def test_a_column_whose_absence_tells_the_class_is_suspected(orders: pl.DataFrame, when: str):
    # Only every third return has a complaint, so that the column alone does not decide.
    some = pl.col("returned") & (pl.int_range(pl.len()) % 3 == 0)
    rows = orders.with_columns(
        complaint=pl.when(some if when == "there" else ~some).then(pl.lit("text")).otherwise(None)
    )

    found = examined(rows)

    assert rules(found) == {"complaint": "missing-decides"}
    assert "returned is True in 100 %" in found.suspects[0].text


def test_a_missing_value_that_says_nothing_is_not_suspected(orders: pl.DataFrame):
    always = orders.with_columns(pl.lit(value=True).alias("returned")).with_columns(
        pl.when(pl.int_range(pl.len()) % 50 == 0).then(False).otherwise("returned").alias("returned")
    )

    found = examined(always)

    assert found.suspects == ()


def test_numbers_are_outcomes_too(orders: pl.DataFrame):
    rows = orders.with_columns(paid=pl.col("price") * 1.19, total=pl.col("price") * 1.19)

    found = examined(rows, outcome="total")

    assert found.kind == "number"
    assert set(rules(found)) == {"paid", "price"}
    assert found.skills[0].auc is None


def test_more_than_two_classes_are_outcomes_too(orders: pl.DataFrame):
    rows = orders.with_columns(label=pl.col("kind").str.to_uppercase())

    found = examined(rows, outcome="label")

    assert rules(found) == {"kind": "decides"}


def test_a_moment_after_the_row_is_told_apart_from_suspects(orders: pl.DataFrame):
    random = np.random.default_rng(3)
    days = pl.Series(random.exponential(3, ROWS) + 0.1)
    rows = orders.with_columns(
        delivered=pl.col("at") + pl.duration(seconds=days * 86_400), bought=pl.col("at") + pl.duration(days=1)
    )

    found = examined(rows)

    assert found.suspects == ()
    assert [name for name, _ in found.later] == ["delivered"]


def test_a_moment_that_was_ingested_before_it_came_is_a_plan(orders: pl.DataFrame):
    rows = orders.with_columns(
        due=pl.col("at") + pl.duration(hours=(pl.int_range(pl.len()) % 40) + 1),
        _ingested_at=pl.col("at") + pl.duration(minutes=5),
    )

    found = examined(rows)

    assert found.later == ()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (pl.lit(value=True), "one value in all rows"),
        (pl.col("id"), "text with 6,000 values"),
        (pl.when(pl.int_range(pl.len()) < 50).then("returned"), "Only 50 sampled rows"),
        (pl.int_range(pl.len()) < 5, "fewer than 10"),
    ],
    ids=["constant", "names", "few", "rare"],
)
def test_what_cannot_be_examined_is_said(orders: pl.DataFrame, outcome: pl.Expr, reason: str):
    found = examined(orders.with_columns(returned=outcome))

    assert reason in found.skipped
    assert found.skills == found.suspects == ()


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """Every flight that left New York in 2013 as it stands in the record, with the weather of its hour."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        import land
    finally:
        sys.path.remove(str(EXAMPLE))
    data = land._package_folder()
    weather = land._weather(data).drop("reported_at")
    rows = land._flights(data).drop("_span", "zone")
    hour = pl.col("scheduled_departure").dt.truncate("1h")
    return (
        rows.with_columns(hour.alias("observed_at"), late=pl.col("arr_delay") > land.LATE_MINUTES)
        .join(weather, on=["origin", "observed_at"], how="left")
        .drop("observed_at")
        .sample(fraction=1.0, shuffle=True, seed=0)
    )


def of_flights(rows: pl.DataFrame) -> Leakage:
    subject = Subject(key=("flight_id",), time="scheduled_departure", outcomes=("late",))
    return leakage(rows, subject, outcome="late")


@pytest.fixture(scope="module")
def some_flights(flights: pl.DataFrame) -> pl.DataFrame:
    return flights.head(60_000)


#: What nobody knows when a flight is due to leave. The record names the aircraft that flew in the end.
AFTERWARDS = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"}


def test_the_suspects_of_the_real_flights_are_the_real_ones(flights: pl.DataFrame):
    found = of_flights(flights)

    assert set(found.suspected) == AFTERWARDS
    assert found.suspected[:3] == ("arr_delay", "dep_delay", "air_time")
    honest = {one.column for one in found.skills} - AFTERWARDS
    assert {
        "carrier",
        "origin",
        "dest",
        "distance",
        "hour",
        "temp",
        "wind_gust",
        "visib",
        "pressure",
    } <= honest


def test_departure_delay_and_air_time_are_found_without_the_arrival(some_flights: pl.DataFrame):
    kept = some_flights.drop("arr_delay", "arr_time", "dep_time", "tailnum")

    found = of_flights(kept)

    assert found.suspected == ("dep_delay", "air_time")


def test_air_time_is_found_where_a_cancelled_flight_counts_as_late(some_flights: pl.DataFrame):
    # There the outcome is always known, and the column's absence gives it away.
    kept = some_flights.drop("arr_delay", "arr_time", "dep_time", "tailnum").with_columns(
        pl.col("late").fill_null(value=True)
    )

    found = of_flights(kept)

    assert set(found.suspected) == {"dep_delay", "air_time"}
    assert rules(found)["air_time"] == "missing-decides"


def test_nothing_is_suspected_in_the_schedule_of_the_real_flights(some_flights: pl.DataFrame):
    found = of_flights(some_flights.drop(AFTERWARDS))

    assert found.suspects == ()
