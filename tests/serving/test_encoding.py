from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, encode_series
from treadle.serving.encoding import encode

PLACE = "rows[{}].x".format
MOMENTS = st.datetimes(allow_imaginary=False, timezones=st.just(UTC))
VALUES = {
    "integer": (st.integers(-(2**63), 2**63 - 1), pl.Int64),
    "float": (st.floats(-3e38, 3e38), pl.Float64),
    "boolean": (st.booleans(), pl.Boolean),
    "string": (st.text(), pl.String),
    "category": (st.text(), pl.String),
    "timestamp": (MOMENTS, pl.Datetime("us", "UTC")),
    "date": (st.dates(), pl.Date),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("nullable", [False, True])
def test_values_become_the_same_bits_as_in_training(kind, nullable):
    strategy, dtype = VALUES[kind]

    @given(st.lists(st.none() | strategy if nullable else strategy, min_size=1, max_size=40))
    def same(values):
        field = Field(name="x", kind=kind, nullable=nullable)

        served = encode(field, values, place=PLACE)

        trained = encode_series(field, pl.Series("x", values, dtype=dtype))
        assert served.dtype == trained.dtype
        np.testing.assert_array_equal(served, trained)

    same()


def test_a_moment_with_another_zone_is_the_same_moment():
    field = Field(name="x", kind="timestamp")
    here = datetime(2013, 1, 1, 5, tzinfo=timezone(timedelta(hours=-5)))
    without = datetime(2013, 1, 1, 10)  # noqa: DTZ001 - a moment without a zone is what is tried

    encoded = encode(field, [here, without], place=PLACE)

    assert encoded[0] == encoded[1]


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 1e39])
def test_a_number_that_is_not_finite_is_refused_by_name(value, rows):
    values = [0.5] * (rows - 1) + [value]

    with pytest.raises(InvalidInput, match="finite") as refusal:
        encode(Field(name="x", kind="float"), values, place=PLACE)

    assert refusal.value.field == f"rows[{rows - 1}].x"


def test_nan_is_a_missing_value_where_one_may_be_missing():
    encoded = encode(Field(name="x", kind="float", nullable=True), [float("nan"), None, 1.0], place=PLACE)

    assert np.isnan(encoded).tolist() == [True, True, False]


def test_an_integer_of_more_than_64_bits_is_refused_by_name():
    with pytest.raises(InvalidInput, match="64 bits") as refusal:
        encode(Field(name="x", kind="integer"), [1, 2**63], place=PLACE)

    assert refusal.value.field == "rows[1].x"


def test_a_date_is_its_days():
    encoded = encode(Field(name="x", kind="date"), [date(1970, 1, 2)], place=PLACE)

    assert encoded.tolist() == [1]
