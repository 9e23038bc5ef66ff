"""More or fewer rows without a value than before: Fisher's exact test."""

from __future__ import annotations

import math

from treadle.monitoring import tails
from treadle.monitoring.detector import Case, Measured


class Detector:
    """See a change in the share of rows that have no value (null, NaN, or an empty text). The effect is the difference of the shares."""

    least = 0.01
    of = "column"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        before, now = case.before, case.now
        if before is None or now is None or not before.rows:
            return None
        if not now.rows:
            return Measured(p=1.0, effect=0.0, floor=0.0, text="There are no rows.")
        was, is_ = before.missing / before.rows, now.missing / now.rows
        share = (before.missing + now.missing) / (before.rows + now.rows)
        return Measured(
            p=tails.two_shares(now.missing, now.rows, before.missing, before.rows),
            effect=abs(is_ - was),
            floor=math.sqrt(2 / math.pi * share * (1 - share) * (1 / now.rows + 1 / before.rows)),
            text=f"{is_:.2%} of the rows have no value, {was:.2%} had none.",
            moved={"among": [None]} if is_ > was else {},
        )
