"""A share of the requests to an endpoint is answered, and not failed by the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from treadle.core.counts import Counts
from treadle.monitoring.slo import SLO


@dataclass(frozen=True, kw_only=True)
class Availability(SLO):
    """Requests to an endpoint that are not answered with 5xx; what callers do wrong (4xx) counts neither way.

    >>> Availability(endpoint="delay", objective=0.999).label
    'delay-availability'
    """

    #: Name of an endpoint, or the model that it answers for.
    endpoint: Any
    kind: ClassVar[str] = "availability"
    counts_requests: ClassVar[bool] = True

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"endpoint:{self.named('endpoint', self.endpoint)}"

    @property
    def said(self) -> str:
        """What is promised."""
        return "requests are answered"

    def good(self, counts: Counts) -> tuple[float, float]:
        """Return answered requests, and all."""
        return counts.answered, counts.answered + counts.failed
