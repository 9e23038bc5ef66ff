from __future__ import annotations

import numpy as np
import pytest

from treadle.features.entities import NOBODY
from treadle.features.timelines import NOWHERE, Timeline, after, by_code


def codes(*values):
    return np.array(values, dtype=np.int32)


def times(*values):
    return np.array(values, dtype=np.int64)


def test_rows_are_sorted_by_entity_time_and_their_own_place():
    made = Timeline.of(codes(1, 0, NOBODY, 1, 0), times(5, 9, 1, 5, 2), count=3)

    assert made.rows.tolist() == [4, 1, 0, 3]
    assert made.times.tolist() == [2, 9, 5, 5]
    assert made.codes.tolist() == [0, 0, 1, 1]
    assert made.begins.tolist()[:2] == [0, 2]
    assert (made.ends - made.begins).tolist() == [2, 2, 0]


def test_equal_times_are_sorted_by_what_comes_then():
    made = Timeline.of(codes(0, 0, 0), times(5, 5, 4), count=1, then=times(8, 7, 9))

    assert made.rows.tolist() == [2, 1, 0]


def test_rows_that_stand_entity_by_entity_are_not_sorted():
    made = Timeline.of(codes(2, 2, 0, 1), times(1, 1, 0, 7), count=3)

    assert made.rows is None
    assert made.codes.tolist() == [2, 2, 0, 1]
    assert made.last_until(codes(0, 1, 2, 2), times(9, 6, 1, 0)).tolist() == [2, NOWHERE, 1, NOWHERE]


@pytest.mark.parametrize(
    ("given", "at"), [((0, 1, 0), (1, 1, 2)), ((0, 0, 1), (2, 1, 3))], ids=["apart", "backwards"]
)
def test_an_entity_that_stands_in_two_places_or_backwards_is_sorted(given, at):
    made = Timeline.of(codes(*given), times(*at), count=2)

    assert made.rows is not None
    assert made.last_until(codes(0), times(2)).tolist() == [1]


def test_places_are_turned_into_rows():
    made = Timeline.of(codes(1, 0, 1), times(0, 0, 0), count=2)
    empty = Timeline.of(codes(NOBODY), times(0), count=1)

    assert made.row(np.array([0, NOWHERE, 1])).tolist() == [1, NOWHERE, 0]
    assert empty.row(np.array([NOWHERE])).tolist() == [NOWHERE]


def test_a_search_of_many_equals_searches_one_by_one():
    chance = np.random.default_rng(0)
    known = np.sort(chance.integers(0, 50, 300))
    begins = chance.integers(0, 301, 500)
    ends = np.minimum(begins + chance.integers(0, 90, 500), 300)
    known = np.concatenate([known, times(10**9)])[:300]
    asked = chance.integers(-5, 60, 500)

    found = after(known, begins, ends, asked)

    assert found.tolist() == [
        begin + np.searchsorted(known[begin:end], at, side="right")
        for begin, end, at in zip(begins, ends, asked, strict=True)
    ]


@pytest.mark.parametrize("most", [1, 2**16 - 1, 2**16, 2**31 - 1])
def test_grouping_keeps_the_order_of_equal_codes(most):
    given = np.random.default_rng(1).integers(0, most, 5_000, endpoint=True).astype(np.int32)

    assert by_code(given).tolist() == np.argsort(given, kind="stable").tolist()
