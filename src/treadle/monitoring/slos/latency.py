"""A share of the answers of an endpoint comes within a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from treadle.core.counts import BOUNDS, Counts
from treadle.monitoring.slo import SLO


@dataclass(frozen=True, kw_only=True)
class Latency(SLO):
    """Answers of an endpoint that take at most `within` seconds, from the arrival of the request; failed requests are no answers.

    >>> Latency(endpoint="delay", within=0.05, objective=0.99).said
    'answers come within 0.05 s'
    """

    #: Name of an endpoint, or the model that it answers for.
    endpoint: Any
    #: Seconds: one of those at which servers count.
    within: float
    kind: ClassVar[str] = "latency"
    counts_requests: ClassVar[bool] = True

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"endpoint:{self.named('endpoint', self.endpoint)}"

    @property
    def said(self) -> str:
        """What is promised."""
        return f"answers come within {self.within:g} s"

    def good(self, counts: Counts) -> tuple[float, float]:
        """Return answers in time, and all."""
        return counts.within(self.within), counts.answered

    def check(self) -> None:
        """Check the time."""
        if self.within not in BOUNDS:
            known = ", ".join(f"{bound:g}" for bound in BOUNDS)
            self.refuse(
                "within", f"{self.within!r}; servers count at these seconds: {known}. Take one of them."
            )
