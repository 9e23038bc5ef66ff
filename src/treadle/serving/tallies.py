"""What a server counts of each variant while a rollout runs: requests, failures, and how long they took."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

#: The shortest time told apart, in seconds, and how many steps of equal ratio there are to each doubling.
SHORTEST, STEPS = 1e-5, 16
_LONGEST = 24 * STEPS


class Tally(msgspec.Struct, kw_only=True):
    """Counts of one variant in one revision."""

    #: Requests that the model was asked to answer, failed ones among them.
    requests: int = 0
    #: Requests that it did not answer: it raised, answered nonsense, or took too long.
    failed: int = 0
    #: Of a shadow: requests that it was not asked, since it was busy or rests after failures.
    dropped: int = 0
    #: Of a shadow: why it is asked no more; empty: it is.
    given_up: str = ""
    #: Step of time (see `upper`) → requests that took so long.
    seconds: dict[int, int] = {}

    def answered(self, seconds: float) -> None:
        """Count an answer."""
        self.requests += 1
        step = step_of(seconds)
        self.seconds[step] = self.seconds.get(step, 0) + 1

    def copied(self) -> Tally:
        """Return the counts as they are now; other threads go on counting."""
        return Tally(
            requests=self.requests,
            failed=self.failed,
            dropped=self.dropped,
            given_up=self.given_up,
            seconds=self.seconds.copy(),
        )

    def missed(self) -> None:
        """Count a failure."""
        self.requests += 1
        self.failed += 1


def step_of(seconds: float) -> int:
    """Return the step of a time.

    >>> step_of(2e-05)
    16
    """
    return min(max(0, math.ceil(math.log2(max(seconds, SHORTEST) / SHORTEST) * STEPS)), _LONGEST)


def upper(step: int) -> float:
    """Return the longest time, in seconds, of a step.

    >>> upper(16)
    2e-05
    """
    return SHORTEST * 2 ** (step / STEPS)


def total(tallies: Iterable[Tally]) -> Tally:
    """Return several servers' counts of one variant as one."""
    whole = Tally()
    for tally in tallies:
        whole.requests += tally.requests
        whole.failed += tally.failed
        whole.dropped += tally.dropped
        whole.given_up = whole.given_up or tally.given_up
        for step, count in tally.seconds.items():
            whole.seconds[step] = whole.seconds.get(step, 0) + count
    return whole


def above(tally: Tally, step: int) -> tuple[int, int]:
    """Return how many answers took longer than a step, and how many there are."""
    return sum(count for at, count in tally.seconds.items() if at > step), sum(tally.seconds.values())


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What one server has counted since it loaded a revision."""

    server: str
    endpoint: str
    revision: int
    #: By variant.
    tallies: dict[str, Tally]
