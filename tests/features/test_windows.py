from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_cases import batch
from naive_join import expected
from treadle.core.errors import InvalidInput
from treadle.features.aggregates import Aggregate, Count, Distinct, Last, Max, Mean, Min, Sum
from treadle.features.join import join
from treadle.features.views import FeatureView

START = datetime(2013, 1, 1, tzinfo=UTC)
EVERY = (Count, Distinct, Last, Max, Mean, Min, Sum)


def at(minute):
    return START + timedelta(minutes=minute)


def view(*, arrived=None, **aggregates):
    return FeatureView(
        "card", source="a source", entity="card", time="at", arrived=arrived, aggregates=aggregates
    )


def asked(*minutes, card="a"):
    return pl.DataFrame(
        {"card": [card] * len(minutes), "t": [at(minute) for minute in minutes]},
        schema={"card": pl.String, "t": pl.Datetime("us", "UTC")},
    )


def events(*records, dtype=None, card="a"):
    return pl.DataFrame(
        {
            "card": [card] * len(records),
            "at": [at(minute) for minute, _ in records],
            "amount": pl.Series([amount for _, amount in records], dtype=dtype),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "card": pl.String},
    )


def told(made, frame, *minutes, **changes):
    joined = join(asked(*minutes), [(view(x=made, **changes), frame)], time="t")
    return joined["x"].to_list()


def test_both_ends_of_a_window_count():
    frame = events((0, 1.0), (60, 2.0), (61, 4.0))

    assert told(Sum("amount", over="1h"), frame, -1, 0, 60, 61, 120, 121, 122) == [0, 1, 3, 6, 6, 4, 0]


def test_an_event_counts_from_its_arrival_and_leaves_with_its_time():
    frame = events((0, 1), (10, 2)).with_columns(pl.Series("seen", [at(30), at(10)]))

    assert told(Count(over="1h"), frame, 0, 10, 29, 30, 60, 61, 70, 71, arrived="seen") == [
        *(0, 1, 1, 2),
        *(2, 1, 1, 0),
    ]
    assert told(Last("amount", over="1h"), frame, 30, arrived="seen") == [2]


def test_an_event_that_arrives_after_its_window_is_never_seen():
    frame = events((0, 1)).with_columns(pl.Series("seen", [at(61)]))

    assert told(Count(over="1h"), frame, 0, 60, 61, 100, arrived="seen") == [0, 0, 0, 0]


def test_where_nothing_happened_there_are_none_and_no_value():
    joined = join(
        asked(0).vstack(asked(0, card=None)),
        [(view(**{made.__name__: made("amount", over="1h") for made in EVERY}), events((1, 1.5)))],
        time="t",
    )

    assert joined.row(0, named=True) == {
        "card": "a",
        "t": START,
        "Count": 0,
        "Distinct": 0,
        "Sum": 0.0,
        "Last": None,
        "Max": None,
        "Mean": None,
        "Min": None,
    }
    assert set(joined.row(1)[2:]) == {None}


def test_several_events_of_one_moment_all_count():
    frame = events((0, 1), (0, 1), (0, 2))

    assert told(Count(over="1h"), frame, 0) == [3]
    assert told(Distinct("amount", over="1h"), frame, 0) == [2]
    assert told(Last("amount", over="1h"), frame, 0) == [2]


def test_nulls_and_nan_do_not_count_but_a_last_null_is_the_last():
    frame = events((0, 1.0), (1, None), (2, math.nan), (3, 3.0), (4, None))

    assert told(Count(over="1h"), frame, 4) == [5]
    assert told(Count("amount", over="1h"), frame, 4) == [2]
    assert told(Distinct("amount", over="1h"), frame, 4) == [2]
    assert told(Mean("amount", over="1h"), frame, 4) == [2.0]
    assert told(Max("amount", over="1h"), frame, 4) == [3.0]
    assert told(Last("amount", over="1h"), frame, 4) == [None]


def test_what_was_large_long_ago_does_not_blur_what_is_small_today():
    frame = events((0, 1e300), (100, 0.1), (101, 0.2), (102, 1e-300))

    assert told(Sum("amount", over="10m"), frame, 0, 102) == [1e300, math.fsum([0.1, 0.2, 1e-300])]


def test_infinities_add_up_as_numbers_do():
    frame = events((0, math.inf), (30, 1.0), (61, -math.inf), (100, 2.0))

    sums = told(Sum("amount", over="1h"), frame, 0, 30, 61, 121, 122)

    assert sums[:2] == [math.inf, math.inf]
    assert sums[2:] == [-math.inf, -math.inf, 2.0]
    assert math.isnan(told(Sum("amount", over="2h"), frame, 61)[0])


def test_whole_numbers_stay_whole_and_never_wrap_round():
    large = 2**62
    frame = events((0, large), (100, large), (101, -large), (102, large))

    assert told(Sum("amount", over="10m"), frame, 0, 100, 102) == [large, large, large]
    with pytest.raises(InvalidInput, match=r"Sum\('amount'\): .* fit into 64 bits"):
        told(Sum("amount", over="2h"), frame, 102)
    with pytest.raises(InvalidInput, match="fit into 64 bits"):
        told(Sum("amount", over="2h"), events((0, 2**63), dtype=pl.UInt64), 0)


@pytest.mark.parametrize(
    ("made", "given", "result"),
    [
        (Count, pl.Int8, pl.Int64),
        (Distinct, pl.Int8, pl.Int64),
        (Sum, pl.Int8, pl.Int64),
        (Sum, pl.Boolean, pl.Int64),
        (Sum, pl.Float32, pl.Float64),
        (Mean, pl.Int8, pl.Float64),
        (Max, pl.Float32, pl.Float32),
        (Min, pl.UInt64, pl.UInt64),
        (Max, pl.Boolean, pl.Boolean),
        (Last, pl.Int8, pl.Int8),
    ],
)
def test_results_have_types_that_follow_from_the_column(made, given, result):
    joined = join(
        asked(1),
        [(view(x=made("amount", over="1h")), events((0, 0), (1, 1)).cast({"amount": given}))],
        time="t",
    )

    assert joined.schema["x"] == result
    assert joined["x"].item() == {Count: 2, Distinct: 2, Mean: 0.5, Min: 0}.get(made, 1)


ORDERED = [
    [3, -(2**63), 2**63 - 1, -1, 0],
    [0.5, -0.5, -math.inf, math.inf, 1e-320, -1e-320],
    ["b", "", "ä", "a", "B", "😀"],
    [True, False, True],
    [date(2013, 1, 2), date(1969, 1, 1), date(2013, 1, 1)],
    [at(3), at(-(10**8)), at(0)],
    [timedelta(1), timedelta(-1)],
]


@pytest.mark.parametrize("values", ORDERED, ids=lambda values: type(values[0]).__name__)
def test_least_and_greatest_of_any_values_with_an_order(values):
    frame = events(*enumerate(values))
    moments = range(len(values))

    assert told(Max("amount", over="1h"), frame, *moments) == [max(values[: n + 1]) for n in moments]
    assert told(Min("amount", over="1h"), frame, *moments) == [min(values[: n + 1]) for n in moments]
    assert told(Max("amount", over="1m"), frame, *moments)[1:] == [max(pair) for pair in pairwise(values)]


def test_categories_are_compared_as_text():
    frame = events((0, "b"), (1, "a"), (2, "c"), dtype=pl.Categorical)

    assert told(Max("amount", over="1m"), frame, 0, 1, 2) == ["b", "b", "c"]
    assert told(Min("amount", over="1m"), frame, 0, 1, 2) == ["b", "a", "a"]
    assert told(Distinct("amount", over="1h"), frame, 2) == [3]


def test_lists_can_be_counted_and_told_apart_but_have_no_order():
    frame = events((0, [1, 2]), (1, [1, 2]), (2, [3]))

    assert told(Distinct("amount", over="1h"), frame, 0, 1, 2) == [1, 1, 2]
    assert told(Last("amount", over="1h"), frame, 1) == [[1, 2]]
    with pytest.raises(InvalidInput, match=r"Max\('amount'\): the column is List.*values with an order"):
        told(Max("amount", over="1h"), frame, 0)
    with pytest.raises(InvalidInput, match=r"Sum\('amount'\): the column is List"):
        told(Sum("amount", over="1h"), frame, 0)


def test_an_aggregate_of_another_kind_is_refused():
    with pytest.raises(InvalidInput, match="no aggregate that can be computed. Expected one of Count"):
        told(Aggregate("amount", over="1h"), events((0, 1)), 0)


def test_fields_and_aggregates_of_one_view_are_joined_together():
    declared = FeatureView(
        "card",
        source="a source",
        entity="card",
        time="at",
        ttl="1m",
        fields={"amount": "newest"},
        aggregates={"n": Count(over="1h"), "n_1m": Count(over="1m")},
    )

    joined = join(asked(0, 5), [(declared, events((0, 7), (1, 8)))], time="t")

    assert joined.drop("card", "t").rows() == [(7, 1, 1), (None, 2, 0)]


def test_empty_frames_keep_columns_and_types():
    declared = view(**{made.__name__: made("amount", over="1h") for made in EVERY})
    frame = events((0, 1.0))

    full = join(asked(0), [(declared, frame)], time="t")
    no_rows = join(asked(0).clear(), [(declared, frame)], time="t")
    no_events = join(asked(0), [(declared, frame.clear())], time="t")

    assert full.schema == no_rows.schema == no_events.schema
    assert no_events.row(0)[2:] == (0, 0, None, None, None, None, 0.0)


def everything(*spans):
    made = {f"n_{span}": Count(over=span) for span in spans}
    for column in ("amount", "pieces", "shop"):
        for kind in (Count, Distinct, Last, Max, Min, *((Mean, Sum) if column != "shop" else ())):
            made |= {f"{column}_{kind.__name__}_{span}": kind(column, over=span) for span in spans}
    return made


@pytest.mark.parametrize("seed", range(42))
def test_generated_cases_equal_the_definition(seed):
    """4,200 cases, 45 aggregates each; sums of floating-point numbers are those of `math.fsum`, to the last bit."""
    aggregates = everything("30m", "1h", "3h")
    case = batch(seed, cases=100, fields=(), ttl=None, aggregates=aggregates)

    joined = join(case.spine, [(case.view, case.frame)], time="t", known_at=case.known_at)

    wanted = expected(case.spine, case.frame, case.view, time="t", known_at=case.known_at)
    assert joined.select(case.spine.columns).equals(case.spine)
    assert joined.select(list(aggregates)).rows() == wanted


MINUTES, AMOUNTS = st.integers(0, 9), st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@settings(deadline=None, max_examples=150)
@given(
    minutes=st.lists(MINUTES, max_size=6),
    records=st.lists(st.tuples(MINUTES, AMOUNTS, st.integers(-2, 4)), max_size=12),
    over=st.sampled_from(["1m", "3m", "1h"]),
    arrived=st.sampled_from([None, "seen"]),
)
def test_any_events_equal_the_definition(minutes, records, over, arrived):
    small = [
        (minute, amount if amount is None or abs(amount) < 1e300 else 1.0) for minute, amount, _ in records
    ]
    frame = events(*small, dtype=pl.Float64).with_columns(
        pl.Series("seen", [at(minute + late) for minute, _, late in records], dtype=pl.Datetime("us", "UTC"))
    )
    declared = view(arrived=arrived, **{made.__name__: made("amount", over=over) for made in EVERY})

    joined = join(asked(*minutes), [(declared, frame)], time="t")

    wanted = expected(asked(*minutes), frame, declared, time="t")
    assert joined.select(declared.output_names).rows() == wanted


def test_a_year_of_events_equals_sums_over_each_window():
    chance = np.random.default_rng(5)
    count = 20_000
    moments = np.sort(chance.integers(0, 365 * 24 * 60, count))
    frame = events(*zip(moments.tolist(), np.round(chance.lognormal(3, 2, count), 2).tolist(), strict=True))
    minutes = chance.integers(0, 365 * 24 * 60, 300).tolist()

    sums = told(Sum("amount", over="7d"), frame, *minutes)
    greatest = told(Max("amount", over="7d"), frame, *minutes)

    for minute, total, most in zip(minutes, sums, greatest, strict=True):
        window = frame.filter(pl.col("at").is_between(at(minute - 7 * 24 * 60), at(minute)))[
            "amount"
        ].to_list()
        assert total == math.fsum(window)
        assert most == max(window, default=None)
