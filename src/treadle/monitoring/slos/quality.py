"""For a share of the time, a metric of an endpoint's answers is not shown to be worse than promised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from treadle.core import plugins
from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, closest
from treadle.monitoring.slo import SLO


@dataclass(frozen=True, kw_only=True)
class Quality(SLO):
    """Time in which the interval of a metric, over the answers of the last `window` whose outcome is known, reaches what is promised.

    It is broken when the whole 95 % interval is beyond `at_most` or `at_least`: not by a value that chance explains, nor before
    `rows` outcomes are known. It is looked at every `every`.

    >>> Quality(endpoint="delay", metric="log_loss", at_most=0.45, objective=0.95).said
    'log_loss is at most 0.45, over 7d'
    """

    #: Name of an endpoint, or the model that it answers for.
    endpoint: Any
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    window: str = "7d"
    every: str = "1h"
    #: Outcomes that must be known before anything is said.
    rows: int = 30
    kind: ClassVar[str] = "quality"
    counts_requests: ClassVar[bool] = False

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"endpoint:{self.named('endpoint', self.endpoint)}"

    @property
    def label(self) -> str:
        """Its name."""
        return self.name or f"{self.subject.partition(':')[2]}-{self.metric}"

    @property
    def said(self) -> str:
        """What is promised."""
        bound = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        return f"{self.metric} is {bound}, over {self.window}"

    def is_kept(self, low: float | None, high: float | None) -> bool:
        """Return whether an interval reaches what is promised; one that is not known does."""
        if self.at_most is not None:
            return low is None or low <= self.at_most
        assert self.at_least is not None
        return high is None or high >= self.at_least

    def check(self) -> None:
        """Check metric, bound and spans."""
        known = plugins.available("metric")
        if self.metric not in known:
            self.refuse("metric", f"{self.metric!r}. {closest(str(self.metric), known)}")
        bounds = [bound for bound in (self.at_most, self.at_least) if bound is not None]
        if len(bounds) != 1:
            told = "both at_most and at_least" if bounds else "neither at_most nor at_least"
            self.refuse("bound", f"{told}; expected one of them.")
        bound: Any = bounds[0]
        if not isinstance(bound, int | float) or not math.isfinite(bound):
            self.refuse("bound", f"{bound!r}; expected a number, in the metric's unit.")
        for argument in ("window", "every"):
            try:
                span = parse_span(getattr(self, argument))
            except (InvalidInput, TypeError) as error:
                self.refuse(argument, str(error))
            if span < timedelta(minutes=1):
                self.refuse(argument, f"{getattr(self, argument)!r}; expected a minute or more.")
        rows: Any = self.rows
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 2:
            self.refuse("rows", f"{self.rows!r}; expected a number of outcomes of 2 or more.")
