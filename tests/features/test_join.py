from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import polars as pl
import pytest

from joined_rows import MOMENT, START, at, rows, values, view
from naive_join import expected
from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.features.join import join


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
