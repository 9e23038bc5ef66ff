"""How many requests were answered, and how fast: what servers count, and promises are measured by."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

#: Times, in seconds, at which servers tell requests apart; a promise on latency names one of them.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Requests to one endpoint in a stretch of time."""

    answered: float = 0
    #: Requests that the server failed to answer (5xx). What callers did wrong (4xx) counts nowhere.
    failed: float = 0
    #: How many answers took up to each bound and longer than the one before; the last: longer than all.
    seconds: tuple[float, ...] = (0,) * (len(BOUNDS) + 1)

    def __bool__(self) -> bool:
        return bool(self.answered or self.failed)

    def within(self, bound: float) -> float:
        """Return how many answers took at most `bound` seconds, which is one of `BOUNDS`."""
        return sum(self.seconds[: bisect_left(BOUNDS, bound) + 1])

    def less(self, other: Counts) -> Counts:
        """Return what was counted since another look."""
        pairs = zip(self.seconds, other.seconds, strict=True)
        return Counts(
            self.answered - other.answered,
            self.failed - other.failed,
            tuple(mine - its for mine, its in pairs),
        )

    def part(self, share: float) -> Counts:
        """Return a share of it, as if requests had come evenly."""
        return Counts(self.answered * share, self.failed * share, tuple(one * share for one in self.seconds))


def total(counts: Iterable[Counts]) -> Counts:
    """Return several counts as one."""
    answered = failed = 0.0
    seconds = [0.0] * (len(BOUNDS) + 1)
    for one in counts:
        answered += one.answered
        failed += one.failed
        for place, count in enumerate(one.seconds):
            seconds[place] += count
    return Counts(answered, failed, tuple(seconds))
