"""What an experiment has found: differences with their intervals, the shares of the sides, a verdict in words."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from treadle.core.clock import span_text
from treadle.core.records import Record
from treadle.monitoring.ratio import RatioCheck

#: `better` and `worse` are about the treatment; `same`: the difference is surely smaller than what is worth finding;
#: `undecided`: more units may tell; `open`: all planned units are known, and did not; `harmful`: a guard says no; `invalid`: the
#: sides did not get their shares, so nothing can be said.
Verdict = Literal["better", "worse", "same", "undecided", "open", "harmful", "invalid"]


class Difference(Record, frozen=True, kw_only=True):
    """A metric of both sides and their difference, treatment minus control."""

    metric: str
    larger_is_better: bool
    #: Units of each side of which it is known.
    n_control: int
    n_treatment: int
    #: Means; None: nothing is known yet.
    control: float | None = None
    treatment: float | None = None
    #: Ends of the difference's interval; None: too little is known, or no planned look was reached.
    low: float | None = None
    high: float | None = None
    #: Always-valid, or of the look that counted: the smallest alpha with which the interval would not hold 0.
    p: float | None = None

    @property
    def value(self) -> float | None:
        """Treatment minus control."""
        return None if self.control is None or self.treatment is None else self.treatment - self.control

    @property
    def is_better(self) -> bool:
        """Whether the treatment surely is."""
        return self._beyond(0.0, 1)

    @property
    def is_worse(self) -> bool:
        """Whether the treatment surely is."""
        return self._beyond(0.0, -1)

    def is_worse_by(self, margin: float) -> bool:
        """Whether the treatment is surely worse by more than a share of the control's value."""
        return self._beyond(margin, -1)

    def is_within(self, share: float) -> bool:
        """Whether the difference is surely smaller than a share of the control's value."""
        if self.low is None or self.high is None or self.control is None:
            return False
        most = share * abs(self.control)
        return -most < self.low and self.high < most

    def told(self) -> str:
        """Return the numbers in words."""
        if self.value is None or self.control is None:
            return f"{self.metric}: nothing is known yet"
        means = f"{self.metric} {self.treatment:.5g} against {self.control:.5g}"
        if self.low is None or self.high is None:
            return f"{means}: {self._share(self.value)}"
        return (
            f"{means}: {self._share(self.value)} (surely {self._share(self.low)} to {self._share(self.high)})"
        )

    def _share(self, value: float) -> str:
        return f"{value / abs(self.control):+.2%}" if self.control else f"{value:+.3g}"

    def _beyond(self, margin: float, way: int) -> bool:
        if self.low is None or self.high is None or self.control is None:
            return False
        up = way if self.larger_is_better else -way
        nearest = self.low if up > 0 else -self.high
        return nearest > margin * abs(self.control)


class SegmentResult(Record, frozen=True, kw_only=True):
    """The difference among the answers with one value of an input; intervals hold for all segments together."""

    column: str
    value: str
    difference: Difference


class ExperimentResult(Record, frozen=True, kw_only=True):
    """What an experiment has found by a moment."""

    experiment: str
    endpoint: str
    control: str
    treatment: str
    at: datetime
    #: When the two began to share the requests, and the endpoint's revisions since.
    since: datetime
    revisions: tuple[int, ...]
    method: str
    verdict: Verdict
    #: Why, in words.
    reason: str
    metric: Difference
    guards: tuple[Difference, ...] = ()
    segments: tuple[SegmentResult, ...] = ()
    ratio: RatioCheck
    #: Units of both sides whose metric is known, and how many are needed in all; None: nobody can say yet.
    units: int
    needed: int | None = None
    #: Seconds until so many will be known, at the pace of the last week.
    left: float | None = None
    #: Planned looks made, of all.
    looks: tuple[int, int] | None = None

    @property
    def is_over(self) -> bool:
        """Whether more units would change nothing."""
        return self.verdict != "undecided"

    def told(self) -> str:
        """Return the verdict in words."""
        return f"{self.verdict}: {self.reason}"

    def waits(self) -> str:
        """Return what is needed still, in words; empty: nothing."""
        if self.verdict != "undecided":
            return ""
        if self.needed is None:
            return "too little is known to say how long it takes"
        more = max(self.needed - self.units, 0)
        when = "" if self.left is None else f", in about {span_text(self.left)} at the present pace"
        return f"{more:,} more units are needed ({self.needed:,} in all){when}"
