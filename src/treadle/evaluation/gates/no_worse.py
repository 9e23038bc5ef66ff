"""The gate `NoWorse`: a candidate may not be noticeably worse than a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.evaluation.comparison import Comparison, number, percent
from treadle.evaluation.gate import Case, Decision, Ruling, check, rule


@dataclass(frozen=True)
class NoWorse:
    """Pass a candidate for which a harm above the margin is ruled out (a test of non-inferiority).

    `reference` is `"champion"`, `"baseline"` (each of them), or a contender's name. `on` is a metric, by default the
    task's own. `margin` is a share of the reference's own value: 0.01 accepts a metric that is 1 % worse. `alpha` is
    one minus the confidence of the two-sided interval: a candidate that is worse by the whole margin passes with a
    chance of alpha / 2. Where no champion is there yet, nobody is worse.

    >>> NoWorse("champion", on="log_loss", alpha=0.05).margin
    0.01

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    reference: str
    on: str | None = None
    alpha: float = 0.05
    margin: float = 0.01
    min_rows: int = 200

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(self, margin=self.margin)

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "no_worse"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "gate": self.name,
            "reference": self.reference,
            "on": self.on,
            "alpha": float(self.alpha),
            "margin": float(self.margin),
            "min_rows": self.min_rows,
        }

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate, beside each reference."""
        return rule(self, case, self._decide)

    def _decide(self, comparison: Comparison) -> Decision:
        reference = comparison.interval.second
        margin, harm = self.margin * abs(reference), comparison.harm[1]
        passed = harm <= margin
        size = max(abs(margin), abs(harm))
        share = f"{percent(self.margin)} of {comparison.reference}'s {number(reference)}"
        if not passed:
            sentence = f"A harm of up to {number(harm, size)} cannot be ruled out; {number(margin, size)} ({share}) is accepted."
        elif harm > 0:
            sentence = f"A harm above {number(margin)} ({share}) is ruled out."
        else:
            sentence = ""
        return Decision(passed=passed, margin=margin, sentence=sentence)
