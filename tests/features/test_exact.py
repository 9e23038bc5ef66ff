from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from treadle.features import exact


def whole(amounts):
    return np.array([amounts.sum()])


@settings(max_examples=400)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, max_value=1e307, min_value=-1e307), max_size=8)
)
@example([1.0, 2.0**-53])
@example([1.0, 2.0**-53, 2.0**-105])
@example([1.0, 3 * 2.0**-53])
@example([-1.0, -(2.0**-53), 5e-324])
@example([1e300, 1.0, -1e300])
@example([0.1] * 8)
def test_a_sum_is_rounded_once(amounts):
    total = exact.total(np.array(amounts), whole)

    wanted = math.fsum(amounts)
    assert total[0] == wanted or abs(wanted) < np.finfo(float).tiny


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e15])
def test_many_amounts_in_any_order_give_the_same_bits(size):
    chance = np.random.default_rng(1)
    amounts = np.concatenate([chance.normal(size=5_000) * size, chance.normal(size=5_000)])

    totals = {exact.total(chance.permutation(amounts), whole)[0] for _ in range(5)}

    assert totals == {math.fsum(amounts)}


def test_no_amounts_and_zeros_sum_to_zero():
    assert exact.total(np.array([]), whole).tolist() == [0.0]
    assert exact.total(np.array([-0.0, 0.0]), whole).tolist() == [0.0]


def test_a_sum_beyond_the_largest_number_is_infinite():
    assert exact.total(np.array([1.7e308, 1.7e308]), whole).tolist() == [math.inf]
    assert exact.total(np.array([-1.7e308, -1.7e308]), whole).tolist() == [-math.inf]
