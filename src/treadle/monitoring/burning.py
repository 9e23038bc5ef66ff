"""How fast error budgets burn, and when somebody is told: several windows, several rates.

The pairs of windows are those of the Google SRE Workbook, chapter 5, "Alerting on SLOs" (table 5-8): somebody is told when a share of the
budget is used up in a long window, and still burns in a short one of a twelfth of it, so that the alert ends soon after its cause. The rates
follow from the period: of 30 days, 2 % in an hour is 14.4 times as fast as the budget lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from treadle.core.clock import span_text
from treadle.core.telling import Severity
from treadle.monitoring.slo import SLO

#: Rules of the alerts.
FAST, SLOW, SPENT = "slo-fast", "slo-slow", "slo-spent"


@dataclass(frozen=True)
class Pair:
    """Two windows, and the share of the budget that may be used up in the long one."""

    long: timedelta
    short: timedelta
    share: float
    severity: Severity

    @property
    def rule(self) -> str:
        """The rule of its alerts."""
        return FAST if self.severity == "page" else SLOW

    def rate(self, period: timedelta) -> float:
        """Return how many times as fast as it may the budget burns when the share is used up in the long window.

        At least once: of a short period the share may be less than the window's part of it, and then the budget lasts.

        >>> round(PAIRS[0].rate(timedelta(days=30)), 6)
        14.4
        """
        return max(self.share * (period / self.long), 1.0)


PAIRS = (
    Pair(timedelta(hours=1), timedelta(minutes=5), 0.02, "page"),
    Pair(timedelta(hours=6), timedelta(minutes=30), 0.05, "page"),
    Pair(timedelta(days=1), timedelta(hours=2), 0.10, "ticket"),
    Pair(timedelta(days=3), timedelta(hours=6), 0.10, "ticket"),
)
#: All windows, the shortest first.
WINDOWS = tuple(sorted({window for pair in PAIRS for window in (pair.long, pair.short)}))


@dataclass(frozen=True)
class Measured:
    """What was good and how much there was: requests, or seconds."""

    good: float
    total: float

    def burns(self, slo: SLO) -> float | None:
        """Return how many times as fast as it may the budget burns; None: there was nothing."""
        if self.total <= 0:
            return None
        return (1 - self.good / self.total) / slo.budget


#: Returns what was measured in a window that ends now.
Measure = Callable[[timedelta], Measured]


@dataclass(frozen=True)
class Burning:
    """A pair of windows in which a budget burns too fast."""

    pair: Pair
    long: float
    short: float
    measured: Measured

    def text(self, slo: SLO) -> str:
        """Say so."""
        rate = self.pair.rate(slo.span)
        bad = self.measured.total - self.measured.good
        unit = f"{bad:,.0f} of {self.measured.total:,.0f} requests" if slo.counts_requests else span_text(bad)
        return (
            f"{slo.label} ({slo.objective:.4%} of {slo.period}: {slo.said}) burns its error budget {self.long:.1f} times as fast as it lasts, "
            f"over {span_text(self.pair.long)}, and {self.short:.1f} times over {span_text(self.pair.short)}; somebody is told from "
            f"{rate:.1f} times. Bad in {span_text(self.pair.long)}: {unit}."
        )


def burning(slo: SLO, measure: Measure) -> list[Burning]:
    """Return the pairs of windows in both of which a budget burns too fast, the fastest first."""
    found = []
    for pair in PAIRS:
        # A window longer than the period would be judged by what the promise is not about.
        if pair.long > slo.span:
            continue
        long, short = measure(pair.long), measure(pair.short)
        fast, now = long.burns(slo), short.burns(slo)
        rate = pair.rate(slo.span)
        enough = not slo.counts_requests or long.total >= slo.least
        if enough and fast is not None and now is not None and fast > rate and now > rate:
            found.append(Burning(pair, fast, now, long))
    return found
