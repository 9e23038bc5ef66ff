"""Fires when the rows that a model is asked about have drifted, and that is known to matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from treadle.core import plugins
from treadle.core.clock import parse_span
from treadle.core.drift import Drift as Drifted
from treadle.core.errors import InvalidDeclaration, closest
from treadle.loop.facts import DRIFT, PERFORMED, Facts, Finding
from treadle.loop.triggers.decay import told

#: Outcomes from which on the interval of the measured loss holds.
_LEAST = 100


@dataclass(frozen=True)
class Drift:
    """Fire when the inputs drift and the model is the worse for it: measured by outcomes, or estimated without them.

    Drift alone is no reason to train, for a model may be as good as ever on other rows, or there may be nothing to learn about the new ones
    yet: then a person is told, and the reason says so. `retrain="always"` trains whenever inputs drift, and
    `retrain="never"` only tells. Outcomes of the last `over` count, 100 of them at least.

    `least` is the share of the rows, 0 to 1, by which a column must have moved, and `detectors` are those that count, by default
    all: seasons move columns that say something of the weather, or of the hour, every week, and nobody wants to hear of it.

    >>> Drift(detectors=["missing", "range", "unseen"], least=0.1).spec()["least"]
    0.1
    """

    retrain: Literal["supported", "always", "never"] = "supported"
    over: str = "28d"
    least: float = 0.0
    detectors: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check what was declared."""
        parse_span(self.over)
        if self.retrain not in {"supported", "always", "never"}:
            msg = f"Drift(retrain={self.retrain!r}): expected 'supported', 'always' or 'never'."
            raise InvalidDeclaration(msg, field="retrain")
        if not 0 <= self.least < 1:
            msg = f"Drift(least={self.least!r}): expected a share of the rows from 0 to below 1, as 0.5."
            raise InvalidDeclaration(msg, field="least")
        for name in self.detectors:
            if name not in plugins.available("detector"):
                msg = (
                    f"Drift(detectors={list(self.detectors)}): {closest(name, plugins.available('detector'))}"
                )
                raise InvalidDeclaration(msg, field="detectors")

    @property
    def needs(self) -> frozenset[str]:
        """What it has to know besides counts of rows."""
        return frozenset({DRIFT, f"{PERFORMED} {self.over}"} if self.retrain == "supported" else {DRIFT})

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "trigger": "drift",
            "retrain": self.retrain,
            "over": self.over,
            "least": self.least,
            "detectors": list(self.detectors),
        }

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        if facts.drift is None:
            return Finding(fires=False, reason="nothing is known of drift")
        drifting, said = self._drifting(facts.drift)
        if not drifting:
            return Finding(fires=False, reason=said)
        if self.retrain == "always":
            return Finding(fires=True, reason=said)
        support = self._support(facts)
        if support and self.retrain == "supported":
            reason = f"{said}; and {support}"
            return Finding(fires=True, reason=reason, harm=reason)
        why = (
            "its policy says to tell only"
            if self.retrain == "never"
            else "neither outcomes nor estimates say that the model is worse"
        )
        reason = f"{said}; {why}"
        return Finding(fires=False, reason=reason, told=reason)

    def _drifting(self, found: Drifted) -> tuple[bool, str]:
        """Say whether enough has moved, and what."""
        if not found.drifting or not (self.least or self.detectors):
            return found.drifting, found.reason
        counted = [one for one in found.moved if not self.detectors or one.detector in self.detectors]
        moved = [one for one in counted if one.effect >= self.least]
        if not moved:
            largest = max((one.effect for one in counted), default=0.0)
            return (
                False,
                f"no column has moved by {self.least:.0%} of the rows; the furthest by {largest:.0%}",
            )
        names = list(dict.fromkeys(one.column or "all columns together" for one in moved))
        return True, f"{', '.join(names)} moved by {self.least:.0%} of the rows or more; {moved[0].text}"

    def _support(self, facts: Facts) -> str:
        """Return what says that the model is worse; empty: nothing does."""
        measured, estimate = facts.performed.get(self.over), facts.drift.estimate if facts.drift else None
        if measured is not None and measured.n >= _LEAST and measured.low > 0:
            return told(measured)
        if estimate is not None and estimate.is_worse:
            return (
                f"{estimate.metric} is estimated at {estimate.value:.4g} ({estimate.low:.4g} to {estimate.high:.4g}), "
                f"where the test rows had {estimate.expected:.4g}"
            )
        return ""
