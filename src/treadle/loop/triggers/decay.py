"""Fires when the answers have become worse than the version was on its own test rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import DRIFT, PERFORMED, Facts, Finding, Performed


@dataclass(frozen=True)
class Decay:
    """Fire when the loss of the live answers is certainly more than `margin` above that on the version's test rows.

    `on="measured"` goes by answers of the last `over` whose outcome is known, `min_rows` of them at least, and an interval that
    holds at every look: a watcher that looks every half minute is not to be fooled by its own patience. `on="estimated"` goes by
    what monitoring estimates where outcomes are not there yet, and `on="either"` by whichever says so.
    `margin` is in the unit of the metric that decides about the task.
    """

    margin: float = 0.0
    over: str = "28d"
    min_rows: int = 500
    on: Literal["measured", "estimated", "either"] = "measured"

    def __post_init__(self) -> None:
        """Check what was declared."""
        parse_span(self.over)
        if self.margin < 0:
            msg = f"Decay(margin={self.margin!r}): expected 0 or more, in the metric's unit."
            raise InvalidDeclaration(msg, field="margin")
        if self.min_rows < 100:
            msg = f"Decay(min_rows={self.min_rows!r}): expected 100 or more; the interval does not hold for fewer."
            raise InvalidDeclaration(msg, field="min_rows")
        if self.on not in {"measured", "estimated", "either"}:
            msg = f"Decay(on={self.on!r}): expected 'measured', 'estimated' or 'either'."
            raise InvalidDeclaration(msg, field="on")

    @property
    def needs(self) -> frozenset[str]:
        """What it has to know besides counts of rows."""
        measured = {f"{PERFORMED} {self.over}"} if self.on != "estimated" else set()
        return frozenset(measured | ({DRIFT} if self.on != "measured" else set()))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "trigger": "decay",
            "margin": self.margin,
            "over": self.over,
            "min_rows": self.min_rows,
            "on": self.on,
        }

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        found = []
        if self.on != "estimated":
            found.append(self._measured(facts.performed.get(self.over)))
        if self.on != "measured":
            found.append(self._estimated(facts))
        fired = [finding for finding in found if finding.fires]
        if not fired:
            return Finding(fires=False, reason="; ".join(one.reason for one in found))
        return msgspec.structs.replace(fired[0], harm=fired[0].reason)

    def _measured(self, found: Performed | None) -> Finding:
        if found is None:
            return Finding(fires=False, reason=f"no answer of the last {self.over} has a known outcome")
        if found.n < self.min_rows:
            reason = f"{found.n:,} answers of the last {self.over} have a known outcome, of {self.min_rows:,} needed"
            return Finding(fires=False, reason=reason)
        fires = found.low > self.margin
        said = "certainly" if fires else "not certainly"
        return Finding(fires=fires, reason=f"{told(found)}, {said} more than the {self.margin:g} allowed")

    def _estimated(self, facts: Facts) -> Finding:
        estimate = facts.drift.estimate if facts.drift is not None else None
        if estimate is None:
            return Finding(fires=False, reason="nothing was estimated of answers without outcomes")
        by, fires = estimate.value - estimate.expected, estimate.low > estimate.expected + self.margin
        reason = (
            f"{estimate.metric} is estimated at {estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g}), "
            f"{abs(by):.4g} {'above' if by >= 0 else 'below'} {estimate.expected:.4g} on the test rows"
        )
        return Finding(fires=fires, reason=reason)


def told(found: Performed) -> str:
    """Return in words how good the answers were."""
    by = found.value - found.expected
    return (
        f"{found.metric} of version {found.version} is {found.value:.4g} on {found.n:,} answers since {found.since:%Y-%m-%d}, "
        f"{abs(by):.4g} {'above' if by >= 0 else 'below'} {found.expected:.4g} on its test rows (at least {found.low:+.4g})"
    )
