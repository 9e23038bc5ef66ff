from __future__ import annotations

import random

from treadle.data.history import merged, to_prune


def test_ranges_are_merged_where_they_touch():
    assert merged([(5, 6), (1, 2), (3, 3), (9, 9)]) == [(1, 3), (5, 6), (9, 9)]
    assert merged([]) == []


def test_only_what_no_kept_version_has_is_pruned():
    chance = random.Random(7)
    for _ in range(200):
        spans = [(a, a + chance.randrange(1, 6)) for a in (chance.randrange(1, 20) for _ in range(10))]
        kept = set(chance.sample(range(1, 26), k=4))

        gone, lost = to_prune(spans, kept)

        assert gone == sorted(s for s in set(spans) if not any(v in range(*s) for v in kept))
        numbers = {n for first, last in lost for n in range(first, last + 1)}
        assert numbers == {n for s in gone for n in range(*s)}
        assert not numbers & kept
