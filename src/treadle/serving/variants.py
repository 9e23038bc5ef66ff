"""Which variant of a revision answers a caller: decided by a stable hash, so that a caller keeps its variant."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import xxhash

from treadle.core.hashing import BUCKETS, buckets, seed_of
from treadle.core.records import Revision, Variant
from treadle.serving.tallies import Tally


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The variant for a request."""

    variant: Variant
    #: Why this one.
    reason: str
    #: How probable it was that this one would be chosen, for a subject of whom nothing is known.
    propensity: float = 1.0
    #: Where the variant's requests are counted; None: no rollout runs.
    tally: Tally | None = None
    #: Whether it is the challenger of a rollout, so that another one answers where it does not.
    on_trial: bool = False


class Router:
    """Chooses among the variants of one revision.

    The second variant owns the buckets from 0 upward, the third those from 9,999 downward, the fourth goes on
    behind the second and so on; the first variant owns the rest, and the holdout. So a challenger that grows at the
    cost of the first variant keeps everybody it has, and so does the first variant when challengers shrink.
    """

    #: Whether the request decides, also where it names a subject.
    by_request = False

    def __init__(self, revision: Revision) -> None:
        """Work out once what is the same for all requests."""
        self._first, self._endpoint = revision.variants[0], revision.endpoint
        self._stretches = [stretch for stretch in stretches(revision.variants) if stretch[1] < stretch[2]]
        self._held = round(revision.holdout * BUCKETS)
        self._seeds = seed_of(f"traffic/{revision.endpoint}"), seed_of(f"holdout/{revision.endpoint}")
        free = 1 - self._held / BUCKETS
        #: How probable each variant is, by name.
        self.propensities = {v.name: free * (end - start) / BUCKETS for v, start, end in self._stretches}
        self.propensities[self._first.name] = 1 - sum(self.propensities.values())
        counted = revision.variants if revision.rollout and len(revision.variants) > 1 else ()
        #: Counts by variant while a rollout runs.
        self.tallies = {variant.name: Tally() for variant in counted}
        #: Whether any variant is asked beside the answer.
        self.shadowed = any(variant.shadow for variant in revision.variants)
        self._only = Choice(self._first, "only variant", tally=self.tallies.get(self._first.name))

    def choose(self, subject: str, *, by: str = "subject") -> Choice:
        """Return the variant for a subject; `by` says what is given as one, for the reason."""
        if not self._stretches:
            return self._only
        traffic, holdout = self._seeds
        key = subject.encode()
        if self._held and xxhash.xxh64_intdigest(key, seed=holdout) % BUCKETS < self._held:
            return self._of(self._first, f"{by}: holdout")
        place = xxhash.xxh64_intdigest(key, seed=traffic) % BUCKETS
        for variant, start, end in self._stretches:
            if start <= place < end:
                return self._of(variant, f"{by}: bucket {place} in {start} to {end - 1}")
        return self._of(self._first, f"{by}: bucket {place} in the rest")

    def is_held(self, subject: str) -> bool:
        """Return whether a subject stays with the first variant, whatever the traffic is."""
        return (
            bool(self._held)
            and xxhash.xxh64_intdigest(subject.encode(), seed=self._seeds[1]) % BUCKETS < self._held
        )

    def choose_many(self, subjects: Sequence[str]) -> list[str]:
        """Return the name of the variant for each of many subjects."""
        endpoint = self._endpoint
        found = np.full(len(subjects), self._first.name, dtype=object)
        if not self._stretches:
            return list(found)
        places = buckets([subjects], salt=f"traffic/{endpoint}")
        for variant, start, end in self._stretches:
            found[(start <= places) & (places < end)] = variant.name
        if self._held:
            found[buckets([subjects], salt=f"holdout/{endpoint}") < self._held] = self._first.name
        return list(found)

    def instead(self, choice: Choice, why: str) -> Choice:
        """Return the first variant's choice for a request that the challenger did not answer; nobody drew lots for it."""
        reason = f"{choice.reason}, but {choice.variant.name} {why}"
        return Choice(self._first, reason)

    def _of(self, variant: Variant, reason: str) -> Choice:
        on_trial = bool(self.tallies) and variant is not self._first
        return Choice(
            variant, reason, self.propensities[variant.name], self.tallies.get(variant.name), on_trial
        )


def stretches(variants: tuple[Variant, ...]) -> list[tuple[Variant, int, int]]:
    """Return variant, first bucket and the bucket behind the last, for each variant but the first."""
    found, ends = [], [0.0, 0.0]
    for number, variant in enumerate(variants[1:]):
        side = number % 2
        before, ends[side] = ends[side], ends[side] + variant.weight
        near, far = round(before * BUCKETS), round(ends[side] * BUCKETS)
        found.append((variant, BUCKETS - far, BUCKETS - near) if side else (variant, near, far))
    return found
