from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.features import recent
from treadle.features.aggregates import Count, Distinct, Last, Max, Mean, Min, Sum
from treadle.features.join import join
from treadle.features.views import FeatureView

START = datetime(2013, 1, 1, tzinfo=UTC)
SPANS = ("5m", "1h", "7h")
KINDS = (Count, Distinct, Last, Max, Mean, Min, Sum)


def at(minute):
    return START + timedelta(minutes=minute)


def view(*, arrived=None):
    made = {f"{kind.__name__}_{span}": kind("amount", over=span) for kind in KINDS for span in SPANS}
    return FeatureView(
        "card",
        source="a source",
        entity="card",
        time="at",
        arrived=arrived,
        aggregates={**made, "n": Count(over="1h")},
    )


def history(amounts):
    chance = np.random.default_rng(6)
    minutes = chance.integers(0, 900, len(amounts)).tolist()
    late = np.where(chance.random(len(amounts)) < 0.5, 0, chance.integers(0, 90, len(amounts))).tolist()
    return pl.DataFrame(
        {
            "card": "a",
            "at": [at(minute) for minute in minutes],
            "seen": [at(minute + by) for minute, by in zip(minutes, late, strict=True)],
            "amount": amounts,
        },
        strict=False,
    )


AMOUNTS = {
    "numbers": [None if n % 9 == 0 else (-1) ** n * 1.1**n for n in range(200)],
    "whole": [None if n % 9 == 0 else n % 7 for n in range(200)],
    "not numbers": [math.nan if n % 5 == 0 else n / 3 for n in range(200)],
    "infinite": [math.inf if n % 50 == 0 else -math.inf if n % 50 == 20 else n / 3 for n in range(200)],
}


@pytest.mark.parametrize("arrived", [None, "seen"])
@pytest.mark.parametrize("amounts", AMOUNTS.values(), ids=AMOUNTS.keys())
def test_what_is_told_of_recent_events_equals_the_join_to_the_last_bit(amounts, arrived):
    declared, frame = view(arrived=arrived), history(amounts)
    moments = [at(minute) for minute in range(0, 1_000, 37)]
    asked = pl.DataFrame({"card": "a", "t": moments})

    joined = join(asked, [(declared, frame)], time="t")

    for row in joined.drop("card").iter_rows(named=True):
        told = recent.aggregated(declared, frame.to_dicts(), at=row.pop("t"))
        assert {name: repr(value) for name, value in told.items() if value != row[name]} == {
            name: "nan" for name, value in row.items() if isinstance(value, float) and math.isnan(value)
        }


@pytest.mark.parametrize("arrived", [None, "seen"])
def test_the_state_grows_with_the_window_and_not_with_the_history(arrived):
    declared, frame = view(arrived=arrived), history(AMOUNTS["numbers"]).sort("seen")
    held, everything = [], frame.to_dicts()

    for minute in range(0, 1_000, 50):
        landed = frame.filter(
            pl.col("seen").is_between(at(minute - 50), at(minute), closed="right")
        ).to_dicts()
        held = recent.kept(declared, [*held, *landed], at=at(minute))

        known = [event for event in everything if event["seen"] <= at(minute)]
        assert recent.aggregated(declared, held, at=at(minute)) == recent.aggregated(
            declared, known, at=at(minute)
        )
        assert all(event["at"] >= at(minute) - timedelta(hours=7) for event in held)
    assert 0 < len(held) < len(everything)


def test_a_sum_beyond_the_largest_number_is_infinite():
    events = [{"at": START, "amount": 1.7e308}] * 2

    assert recent.aggregated(view(), events, at=START)["Sum_1h"] == math.inf


def test_values_that_cannot_be_added_are_named():
    with pytest.raises(InvalidInput, match=r"cannot be made of the values of 'amount'"):
        recent.aggregated(view(), [{"at": START, "amount": "7"}, {"at": START, "amount": 7}], at=START)


def test_a_view_without_aggregates_has_none_to_tell():
    plain = FeatureView("plain", source="a source", entity="card", time="at", fields=["amount"])

    with pytest.raises(InvalidInput, match="'plain' has no aggregates"):
        recent.aggregated(plain, [], at=START)
