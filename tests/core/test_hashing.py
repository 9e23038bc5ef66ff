"""The hash of splits and traffic: golden vectors, and agreement with the reference implementation."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from treadle.core import hashing
from treadle.core.errors import InvalidInput

#: Computed with the xxhash package from the bytes that the scheme prescribes, and never to change: a change here moves rows of every dataset that exists.
GOLDEN = [
    (0, "flights", 3576),
    (1, "flights", 3419),
    (-1, "flights", 6334),
    (2**63 - 1, "flights", 9790),
    ("N14228", "flights", 4828),
    ("", "flights", 2606),
    ("Zürich", "flights", 9366),
    ("東京", "flights", 1713),
    ("👩‍👩‍👧", "flights", 8749),
    (uuid.UUID("12345678-1234-5678-1234-567812345678"), "flights", 2654),
    (date(2013, 1, 1), "flights", 843),
    (datetime(2013, 1, 1, 10, 0, tzinfo=UTC), "flights", 3296),
    (True, "flights", 3419),
    (None, "flights", 6076),
    (("UA", 1545), "flights", 1949),
    (("a", "bc"), "flights", 7891),
    (("ab", "c"), "flights", 6887),
    ("N14228", "other", 2658),
]


@pytest.mark.parametrize(("key", "salt", "expected"), GOLDEN)
def test_golden_vectors(key, salt, expected):
    assert hashing.bucket(key, salt=salt) == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50), st.text(max_size=5))
def test_integers_without_a_loop_agree_with_the_reference(keys, salt):
    reference = [
        xxhash.xxh64_intdigest(
            key.to_bytes(8, "little", signed=True), seed=xxhash.xxh64_intdigest(salt.encode())
        )
        % 10_000
        for key in keys
    ]

    assert hashing.buckets([np.array(keys, dtype=np.int64)], salt=salt).tolist() == reference


@given(st.lists(st.tuples(st.text(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=20))
def test_many_keys_agree_with_one_by_one(keys):
    columns = [[text for text, _ in keys], [number for _, number in keys]]

    assert hashing.buckets(columns, salt="s").tolist() == [hashing.bucket(key, salt="s") for key in keys]


def test_a_moment_is_the_same_in_every_zone():
    there = datetime(2013, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    assert hashing.bucket(there, salt="s") == hashing.bucket(datetime(2013, 1, 1, 10, tzinfo=UTC), salt="s")


def test_a_key_without_a_stable_hash_is_refused():
    with pytest.raises(InvalidInput, match="float.*cannot be split by hash"):
        hashing.bucket(1.5, salt="s")


def test_buckets_are_spread_evenly():
    found = hashing.buckets([np.arange(1_000_000)], salt="even")

    share = np.bincount(found // 1000, minlength=10) / len(found)
    assert np.abs(share - 0.1).max() < 0.002
