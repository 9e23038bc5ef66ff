"""The gate `Beats`: a candidate must be better than a reference, and surely so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.evaluation.comparison import Comparison, number
from treadle.evaluation.gate import Case, Decision, Ruling, check, rule


@dataclass(frozen=True)
class Beats:
    """Pass a candidate whose whole interval is better than the reference's metric.

    `reference` is `"baseline"` (each baseline must be beaten), `"champion"`, or a contender's name. `on` is a metric,
    by default the task's own. With `margin`, in the metric's unit, the candidate must be better by more than that.
    `alpha` is one minus the confidence of the two-sided interval: a candidate that is no better than the margin asks
    passes with a chance of alpha / 2. Where no champion is there yet, everybody beats it.

    >>> Beats("baseline", on="log_loss").name
    'beats'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    reference: str
    on: str | None = None
    alpha: float = 0.05
    min_rows: int = 200
    margin: float = 0.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(self, margin=self.margin)

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "beats"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "gate": self.name,
            "reference": self.reference,
            "on": self.on,
            "alpha": float(self.alpha),
            "min_rows": self.min_rows,
            "margin": float(self.margin),
        }

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate, beside each reference."""
        return rule(self, case, self._decide)

    def _decide(self, comparison: Comparison) -> Decision:
        passed = comparison.harm[1] < -self.margin
        sentence = ""
        if not passed:
            needed = f" by more than {number(self.margin)}" if self.margin else ""
            sentence = f"It must be better{needed} to pass."
        return Decision(passed=passed, margin=0.0 - self.margin, sentence=sentence)
