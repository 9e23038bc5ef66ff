"""The sample-ratio check: whether the sides got the shares that they were given, at every look.

Where they did not, something keeps units of one side out of the log (a crash, a redirect, a lost answer), and no comparison
of the two can be trusted. The test is Lindon and Malek's (2022, "Anytime-valid inference for multinomial count data"), a
Bayes factor against Dirichlet alternatives; here their mean over several widths, so that small deviations are found with many
units and large ones with few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from treadle.core.records import Record

#: How many units an alternative weighs: a hundred stand for deviations of about 5 points, 10,000 for half a point.
_WIDTHS = (10.0, 100.0, 1_000.0, 10_000.0)


class RatioCheck(Record, frozen=True, kw_only=True):
    """Units seen on each side, beside those expected."""

    #: Of each side, by `control` and `treatment`.
    seen: dict[str, int]
    expected: dict[str, float]
    #: Holds at every look: where the shares are right it ever falls below x with a chance of at most x.
    p: float
    #: Below it, the shares are not those that were given.
    alpha: float

    @property
    def is_broken(self) -> bool:
        """Whether the shares are surely wrong."""
        return self.p < self.alpha

    def told(self) -> str:
        """Return the check in words."""
        total = sum(self.seen.values())
        if not total:
            return "no units yet"
        shares = ", ".join(
            f"{name} {count:,} ({count / total:.2%}, expected {self.expected[name] / total:.2%})"
            for name, count in self.seen.items()
        )
        return f"{shares}: {'NOT as assigned' if self.is_broken else 'as assigned'} (p = {self.p:.3g})"


def check(
    strata: Sequence[tuple[Mapping[str, int], Mapping[str, float]]], *, alpha: float = 0.01
) -> RatioCheck:
    """Compare the units of each side with the shares they were given, over stretches with different shares.

    Each stratum has counts and shares by side; the shares of one add up to 1.

    >>> check([({"control": 505, "treatment": 495}, {"control": 0.5, "treatment": 0.5})]).is_broken
    False
    """
    seen: dict[str, int] = {}
    expected: dict[str, float] = {}
    for counts, shares in strata:
        total = sum(counts.values())
        for name, share in shares.items():
            seen[name] = seen.get(name, 0) + counts.get(name, 0)
            expected[name] = expected.get(name, 0.0) + total * share
    factors = [
        math.fsum(_log_factor(counts, shares, width) for counts, shares in strata) for width in _WIDTHS
    ]
    largest = max(factors)
    if math.isinf(largest):
        return RatioCheck(seen=seen, expected=expected, p=0.0, alpha=alpha)
    mean = largest + math.log(math.fsum(math.exp(one - largest) for one in factors) / len(factors))
    return RatioCheck(seen=seen, expected=expected, p=math.exp(-max(mean, 0.0)), alpha=alpha)


def _log_factor(counts: Mapping[str, int], shares: Mapping[str, float], width: float) -> float:
    """Return the log of how much likelier the counts are with other shares, drawn round the given ones."""
    total = sum(counts.values())
    found = math.lgamma(width) - math.lgamma(width + total)
    for name, share in shares.items():
        count, prior = counts.get(name, 0), width * share
        if prior == 0:
            if count:
                return math.inf
            continue
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return found
