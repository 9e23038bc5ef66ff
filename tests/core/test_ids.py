"""Ids and digests."""

from __future__ import annotations

from treadle.core.ids import digest_of, new_id


def test_ids_sort_in_the_order_in_which_they_were_made():
    made = [new_id("run") for _ in range(10_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_sorts_after_the_one_that_a_clock_ahead_of_ours_made():
    ahead = "run_7zzzzzzzzzzzzzzzz000000000"

    made = new_id("run", after=ahead)

    assert made > ahead
    assert len(made) == len(ahead)
    assert new_id("run") < ahead


def test_equal_values_have_equal_digests():
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})
