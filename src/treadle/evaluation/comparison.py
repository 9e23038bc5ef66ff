"""Two contenders on the same rows: how far apart they are, how sure that is, and how to say so."""

from __future__ import annotations

import math
from dataclasses import dataclass

from treadle.evaluation.interval import Interval
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import Measure
from treadle.evaluation.pair import Pair


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A candidate beside a reference, by one metric."""

    candidate: str
    reference: str
    pair: Pair
    #: Candidate less reference.
    interval: Interval

    @property
    def measure(self) -> Measure:
        """The metric."""
        return self.pair.measure

    @property
    def harm(self) -> tuple[float, float]:
        """The ends of the interval of how much worse the candidate is, in the metric's unit; negative: better."""
        low, high = self.interval.low, self.interval.high
        return (0.0 - high, 0.0 - low) if self.measure.greater_is_better else (low, high)

    def harm_beyond(self, share: float) -> float:
        """Return the most that the candidate may be worse by, beyond a share of the reference's own value.

        The reference's value is estimated on the same rows, so the interval is that of both together: of the candidate
        less (1 + share) times the reference.
        """
        if self.pair.is_same:
            return 0.0 - share * abs(self.interval.second)
        reference, worse = self.interval.second, -1.0 if self.measure.greater_is_better else 1.0
        scale = 1 + worse * math.copysign(share, reference)
        found = interval(self.pair.scaled(scale), alpha=self.interval.alpha, method=self._method(scale))
        return found.high if worse > 0 else 0.0 - found.low

    def _method(self, scale: float) -> str | None:
        """Return the method that made the interval, or None where it cannot make that of multiples."""
        return None if self.interval.method == "mcnemar" and scale != 1 else self.interval.method

    @property
    def outcome(self) -> str:
        """What the interval shows: `better`, `worse` or `no difference`."""
        low, high = self.harm
        if high < 0:
            return "better"
        return "worse" if low > 0 else "no difference"

    def sentence(self) -> str:
        """Say it in words a person understands."""
        found, name = self.interval, self.measure.name
        rows = f"n = {found.n:,}" + (f" in {found.units:,} groups" if found.units < found.n else "")
        if found.low == found.high == found.difference == 0:
            value = number(found.first)
            return f"{self.candidate}'s {name} is the same as {self.reference}'s ({value}, {rows}): no difference."
        falls = found.difference < 0
        low, high = (0.0 - found.high, 0.0 - found.low) if falls else (found.low, found.high)
        size = max(abs(found.difference), abs(low), abs(high))
        return (
            f"{self.candidate}'s {name} is {'lower' if falls else 'higher'} than {self.reference}'s by "
            f"{number(abs(found.difference), size)} ({percent(1 - found.alpha)} interval {number(low, size)} to "
            f"{number(high, size)}, {rows}): {self.outcome}."
        )


def number(value: float, size: float | None = None) -> str:
    """Return a number with three significant digits, or as many decimals as one of another size has.

    >>> number(0.013249), number(1234.5), number(0.00012, size=0.0456)
    ('0.0132', '1,234', '0.0001')
    """
    scale = abs(value if size is None else size)
    decimals = 3 if scale == 0 else max(0, 2 - math.floor(math.log10(scale)))
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def percent(share: float) -> str:
    """Return a share as text.

    >>> percent(0.95), percent(0.005)
    ('95 %', '0.5 %')
    """
    return f"{round(100 * share, 6):g} %"
