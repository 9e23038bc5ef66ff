from __future__ import annotations

import numpy as np
import pytest

from treadle.features.stretches import LEAST, Stretches


def stretches(*pairs, height):
    begins, ends = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return Stretches(events=np.arange(len(begins)), begins=begins, ends=ends, height=height)


def random_stretches(seed):
    chance = np.random.default_rng(seed)
    begins = chance.integers(0, 100, 60)
    ends = np.minimum(begins + chance.integers(1, 90, 60), 100)
    return stretches(*zip(begins, ends, strict=True), height=100)


def test_an_event_is_seen_from_its_first_place_to_before_its_end():
    seen = stretches((0, 2), (1, 4), height=5)

    assert seen.counts().tolist() == [1, 2, 1, 1, 0]
    assert seen.totals(np.array([10, -1])).tolist() == [10, 9, -1, -1, 0]
    assert seen.greatest(np.array([7, 3])).tolist() == [7, 7, 3, 3, LEAST]


def test_overlapping_events_of_one_group_count_once():
    seen = stretches((0, 3), (1, 2), (2, 5), (0, 5), height=6)

    assert seen.distinct(np.array([0, 0, 0, 1])).tolist() == [2, 2, 2, 2, 2, 0]


def test_no_events_are_seen_by_nobody():
    seen, none = stretches(height=3), np.array([], dtype=np.int64)

    assert seen.counts().tolist() == seen.distinct(none).tolist() == [0, 0, 0]
    assert seen.greatest(none).tolist() == [LEAST] * 3


@pytest.mark.parametrize("seed", range(5))
def test_every_place_knows_what_it_sees(seed):
    seen = random_stretches(seed)
    keys = np.random.default_rng(seed).integers(-1000, 1000, 60)
    groups = keys % 7

    sees = [(seen.begins <= place) & (place < seen.ends) for place in range(100)]

    assert seen.totals(keys).tolist() == [keys[some].sum() for some in sees]
    assert seen.greatest(keys).tolist() == [keys[some].max(initial=LEAST) for some in sees]
    assert seen.distinct(groups).tolist() == [len(set(groups[some])) for some in sees]
    assert seen.only(np.flatnonzero(groups == 0)).counts().tolist() == [
        (groups[some] == 0).sum() for some in sees
    ]
