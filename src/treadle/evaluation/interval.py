"""The interval of a difference: how far apart two predictors are, and how far that may be off."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The difference of a metric, first predictor less second, and how far it may be off."""

    #: The metric of each on all rows, and the difference; NaN where the metric has no value.
    first: float
    second: float
    difference: float
    #: Ends of the interval; NaN where there is none.
    low: float
    high: float
    #: One minus the interval's confidence; half of it lies beyond each end.
    alpha: float
    #: Rows, and units that are independent: groups, moments, or else rows.
    n: int
    units: int
    #: The plug-in that made it.
    method: str = ""
    #: Why it has no ends, in words.
    why: str = ""

    @property
    def is_defined(self) -> bool:
        """Whether there are a difference and two ends."""
        return all(math.isfinite(value) for value in (self.difference, self.low, self.high))
