"""Values that were never there before: exact, given how often each value is in both samples together."""

from __future__ import annotations

import math

from treadle.monitoring import tails
from treadle.monitoring.detector import Case, Measured
from treadle.monitoring.summaries import Category

_NAMED = 3


class Detector:
    """See new values in a column of categories. The effect is the share of the rows that have one.

    Where nothing has changed, each row is as likely as any other to be one of the window's. So a value that `c` rows have is
    in the window alone with a chance of at most `(n / (n + m)) ** c`, which is added up over the values that could be. And of
    the values that one row has, the window has its share, so that a column whose values keep coming raises nothing.
    """

    least = 0.002
    of = "column"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        before, now = case.before, case.now
        if not (isinstance(before, Category) and isinstance(now, Category)):
            return None
        n, m = now.known, before.known
        if not n or not m or not now.fresh:
            return Measured(p=1.0, effect=0.0, floor=0.0, text="No value is new.")
        once = int(((before.counts == 1) & (now.counts == 0)).sum())
        named = ", ".join(f"{value!r} ({rows:,} rows)" for value, rows in now.fresh[:_NAMED])
        more = f" and {now.fresh_values - _NAMED:,} more" if now.fresh_values > _NAMED else ""
        return Measured(
            p=_p(before, now, once, n, m),
            effect=now.fresh_rows / n,
            floor=once / m,
            text=f"{now.fresh_rows / n:.2%} of the rows have a value that was never there: {named}{more}.",
            moved={"among": [value for value, _ in now.fresh]},
        )


def _p(before: Category, now: Category, once: int, n: int, m: int) -> float:
    """Return the p of both looks; where no value is there once in both samples together, there is one look only."""
    common = _commonest(before, now, n, m)
    if not once + now.fresh_once:
        return common
    return min(1.0, 2 * min(common, _often(now.fresh_once, once, n, m)))


def _commonest(before: Category, now: Category, n: int, m: int) -> float:
    """Return a bound of the chance that the window alone has all rows of some value that so many have as of the commonest new one.

    Each value's chance is that of its own number of rows, so values that thousands have add nothing.
    """
    rows, alone = now.fresh[0][1], math.log(n / (n + m))
    totals = (before.counts + now.counts).tolist() + [count for _, count in now.fresh]
    chances = sum(math.exp(alone * total) for total in totals if total >= rows)
    return min(1.0, chances + max(0, now.fresh_values - len(now.fresh)) * math.exp(alone * rows))


def _often(fresh: int, once: int, n: int, m: int) -> float:
    """Return the chance that of the values that one row has so many are the window's."""
    values = fresh + once
    return tails.drawn(fresh, values, marked=n, of=n + m) if values else 1.0
