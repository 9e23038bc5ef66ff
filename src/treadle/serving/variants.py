"""Which variant of a revision answers a caller: decided by a stable hash, so that a caller keeps its variant."""

from __future__ import annotations

from treadle.core.hashing import BUCKETS, bucket
from treadle.core.records import Revision, Variant


def choose(revision: Revision, subject: str) -> tuple[Variant, str]:
    """Return the variant for a subject, and why.

    The second variant owns the buckets from 0 upward, the third those from 9,999 downward, the fourth goes on
    behind the second and so on; the first variant owns the rest. So a challenger that grows at the cost of the
    first variant keeps everybody it has, and so does the first variant when challengers shrink.
    """
    variants = revision.variants
    if len(variants) == 1:
        return variants[0], "only variant"
    place = bucket(subject, salt=f"traffic/{revision.endpoint}")
    for variant, start, end in stretches(variants):
        if start <= place < end:
            return variant, f"bucket {place} in {start} to {end - 1}"
    return variants[0], f"bucket {place} in the rest"


def stretches(variants: tuple[Variant, ...]) -> list[tuple[Variant, int, int]]:
    """Return variant, first bucket and the bucket behind the last, for each variant but the first."""
    found, ends = [], [0.0, 0.0]
    for number, variant in enumerate(variants[1:]):
        side = number % 2
        before, ends[side] = ends[side], ends[side] + variant.weight
        near, far = round(before * BUCKETS), round(ends[side] * BUCKETS)
        found.append((variant, BUCKETS - far, BUCKETS - near) if side else (variant, near, far))
    return found
