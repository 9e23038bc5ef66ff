"""Fires when the rows that a model is asked about have drifted, and that is known to matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import DRIFT, PERFORMED, Facts, Finding
from treadle.loop.triggers.decay import told


@dataclass(frozen=True)
class Drift:
    """Fire when the inputs drift and the model is the worse for it: measured by outcomes, or estimated without them.

    Drift alone is no reason to train, for a model may be as good as ever on other rows, or there may be nothing to learn about the new ones
    yet: then a person is told, and the reason says so. `retrain="always"` trains whenever inputs drift, and
    `retrain="never"` only tells. Outcomes of the last `over` count.
    """

    retrain: Literal["supported", "always", "never"] = "supported"
    over: str = "28d"

    def __post_init__(self) -> None:
        """Check what was declared."""
        parse_span(self.over)
        if self.retrain not in {"supported", "always", "never"}:
            msg = f"Drift(retrain={self.retrain!r}): expected 'supported', 'always' or 'never'."
            raise InvalidDeclaration(msg, field="retrain")

    @property
    def needs(self) -> frozenset[str]:
        """What it has to know besides counts of rows."""
        return frozenset({DRIFT, f"{PERFORMED} {self.over}"} if self.retrain == "supported" else {DRIFT})

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "drift", "retrain": self.retrain, "over": self.over}

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        if facts.drift is None:
            return Finding(fires=False, reason="nothing is known of drift")
        if not facts.drift.drifting:
            return Finding(fires=False, reason=facts.drift.reason)
        if self.retrain == "always":
            return Finding(fires=True, reason=facts.drift.reason)
        support = self._support(facts) if self.retrain == "supported" else ""
        if support:
            return Finding(fires=True, reason=f"{facts.drift.reason}; and {support}")
        why = (
            "its policy says to tell only"
            if self.retrain == "never"
            else "neither outcomes nor estimates say that the model is worse"
        )
        reason = f"{facts.drift.reason}; {why}"
        return Finding(fires=False, reason=reason, told=reason)

    def _support(self, facts: Facts) -> str:
        """Return what says that the model is worse; empty: nothing does."""
        measured, estimate = facts.performed.get(self.over), facts.drift.estimate if facts.drift else None
        if measured is not None and measured.low > 0:
            return told(measured)
        if estimate is not None and estimate.is_worse:
            return (
                f"{estimate.metric} is estimated at {estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g}), "
                f"where the test rows had {estimate.expected:.4g}"
            )
        return ""
