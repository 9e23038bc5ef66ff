from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.data.profiles.histogram import good_edges, histogram


def test_whole_numbers_of_a_small_range_have_a_bin_each():
    found = histogram(np.repeat(np.arange(1.0, 13.0), 3), whole=True)

    assert found is not None
    assert found.edges == tuple(range(1, 14))
    assert found.counts == (3,) * 12


def test_edges_are_round():
    found = histogram(np.sort(np.random.default_rng(0).uniform(0, 73, 1_000)), whole=False)

    assert found is not None
    assert found.edges[:3] == (0.0, 2.0, 4.0)
    assert len(found.counts) == 37


def test_one_wild_value_does_not_press_all_others_into_one_bar():
    values = np.sort(np.append(np.random.default_rng(0).normal(size=10_000), 1e9))

    found = histogram(values, whole=False)

    assert found is not None
    assert found.edges[-1] < 20
    assert (found.below, found.above) == (0, 1)
    assert sum(count > 0 for count in found.counts) > 20


def test_bins_can_be_those_of_another():
    found = histogram(np.array([0.0, 1.0, 2.5, 9.0]), whole=False, edges=(1, 2, 3))

    assert found is not None
    assert (found.below, found.counts, found.above) == (1, (1, 1), 1)


def test_no_values_have_no_histogram():
    assert histogram(np.empty(0), whole=True) is None


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60),
    st.booleans(),
)
def test_every_value_is_counted_once(values: list[float], whole: bool):
    array = np.sort(np.array([round(value) if whole else value for value in values], dtype=np.float64))

    found = histogram(array, whole=whole)

    assert found is not None
    assert found.below + sum(found.counts) + found.above == len(values)
    assert list(found.edges) == sorted(set(found.edges))


@pytest.mark.parametrize("value", [0.0, -3.5, 1e18, 1e-300, -1e300])
def test_a_constant_has_one_bin(value: float):
    edges = good_edges(np.full(5, value), whole=False)

    assert len(edges) == 2
    assert edges[0] <= value <= edges[1]
