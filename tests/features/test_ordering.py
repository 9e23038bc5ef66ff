from __future__ import annotations

import math
from datetime import date, time, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.features.ordering import ascending, groups, has_order

VALUES = [
    pl.Series([3, -1, 2**63 - 1, -(2**63), 3]),
    pl.Series([2**64 - 1, 0, 2**63, 2**63 - 1], dtype=pl.UInt64),
    pl.Series([1, -128, 127], dtype=pl.Int8),
    pl.Series([0.0, -1.5, math.inf, -math.inf, 1e-320, -1e-320, 1.5]),
    pl.Series([0.1, -0.1], dtype=pl.Float32),
    pl.Series([True, False]),
    pl.Series(["b", "", "ä", "a", "B", "b"]),
    pl.Series(["z", "a"], dtype=pl.Categorical),
    pl.Series(["z", "a"], dtype=pl.Enum(["z", "a"])),
    pl.Series([date(2013, 1, 1), date(1900, 1, 1)]),
    pl.Series([time(1), time(0, 0, 1)]),
    pl.Series([timedelta(1), timedelta(-1)]),
]


@pytest.mark.parametrize("values", VALUES, ids=lambda values: str(values.dtype))
def test_keys_are_in_the_order_of_the_values_and_lead_back_to_them(values):
    keys, back = ascending(values)

    plain = values.cast(pl.String) if values.dtype in (pl.Categorical, pl.Enum) else values
    assert np.argsort(keys, kind="stable").tolist() == sorted(
        range(len(plain)), key=plain.to_list().__getitem__
    )
    assert back(keys).equals(values, check_dtypes=True)


@pytest.mark.parametrize("values", VALUES, ids=lambda values: str(values.dtype))
def test_equal_values_are_one_group(values):
    twice = pl.concat([values, values])

    found = groups(twice)

    assert found[: len(values)].tolist() == found[len(values) :].tolist()
    assert len(set(found.tolist())) == values.n_unique()


def test_zero_has_one_key():
    assert len(set(ascending(pl.Series([0.0, -0.0]))[0].tolist())) == 1


def test_lists_and_structs_have_no_order():
    assert not has_order(pl.List(pl.Int64))
    assert not has_order(pl.Struct({"x": pl.Int64}))
    assert not has_order(pl.Decimal(10, 2))
    assert groups(pl.Series([[1], [2], [1]])).tolist()[::2] == [0, 0]
