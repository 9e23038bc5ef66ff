"""Numbers beyond all that were seen before: exact, whatever their distribution."""

from __future__ import annotations

import math

from treadle.monitoring.detector import Case, Measured
from treadle.monitoring.summaries import Numeric


class Detector:
    """See numbers below the least or above the largest of the reference. The effect is the share of the rows that lie there.

    Where nothing has changed, the `k` largest of all rows are all in the window with a chance of about `(n / (n + m)) ** k`,
    exactly the product of `(n - i) / (n + m - i)`.
    """

    least = 0.002
    of = "column"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        before, now = case.before, case.now
        if not (isinstance(before, Numeric) and isinstance(now, Numeric)) or not before.known:
            return None
        n, m = now.known, before.known
        if not n:
            return Measured(p=1.0, effect=0.0, floor=0.0, text="No row has a value.")
        beyond = max(now.above, now.below)
        said = f"{now.above / n:.2%} of the rows lie above {before.high:.4g}, {now.below / n:.2%} below {before.low:.4g}: from {now.low:.4g} to {now.high:.4g} now."
        return Measured(
            p=min(1.0, 2 * _all_in_window(beyond, n, m)),
            effect=(now.above + now.below) / n,
            floor=2 / (m + 1),
            text=said,
            moved={"above": before.high} if now.above >= now.below else {"below": before.low},
        )


def _all_in_window(rows: int, n: int, m: int) -> float:
    if rows > 500:
        return math.exp(500 * math.log(n / (n + m)))
    return math.exp(sum(math.log((n - i) / (n + m - i)) for i in range(rows)))
