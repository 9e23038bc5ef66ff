"""The gate `NoWorse`: a candidate may not be noticeably worse than a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.evaluation.comparison import Comparison, number, percent
from treadle.evaluation.declared import On, check, margin_of, reference_of, spec_of
from treadle.evaluation.gate import Case, Ruling
from treadle.evaluation.lookups import By
from treadle.evaluation.ruling import Decision, rule


@dataclass(frozen=True)
class NoWorse:
    """Pass a candidate for which a harm above the margin is ruled out (a test of non-inferiority).

    `reference` is `"champion"`, `"baseline"` (each of them), or a contender's name. `on` is a metric, an `Objective` or
    a list of them, by default the task's own; `by` are columns by whose values the rows are judged in parts, too. It
    must be no worse on each metric and part. `margin` is a share of the reference's own value: 0.01 accepts a metric
    that is 1 % worse. `alpha` is one minus the confidence of the two-sided interval: a candidate that is worse by the
    whole margin, wherever, passes with a chance of alpha / 2. Nothing passes on fewer rows than `min_rows`, and smaller
    parts are not judged. `method` names how intervals are made. Where no champion is there yet, nobody is worse.

    >>> NoWorse("champion", on="log_loss", by="carrier").margin
    0.01

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    reference: str
    on: On = None
    alpha: float = 0.05
    margin: float = 0.01
    min_rows: int = 200
    by: By = None
    method: str | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(self, reference=reference_of(self), margin=margin_of(self.margin))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "no_worse"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate, beside each reference."""
        return rule(self, case, self.decide)

    def decide(self, comparison: Comparison) -> Decision:
        """Decide on one comparison whose interval is defined."""
        reference = comparison.interval.second
        margin = self.margin * abs(reference)
        harm = margin + comparison.harm_beyond(self.margin)
        passed = harm <= margin
        size = max(abs(margin), abs(harm))
        share = f"{percent(self.margin)} of {comparison.reference}'s {number(reference)}"
        if not passed:
            sentence = f"A harm of up to {number(harm, size)} cannot be ruled out; {number(margin, size)} ({share}) is accepted."
        elif comparison.harm[1] > 0:
            sentence = f"A harm above {number(margin)} ({share}) is ruled out."
        else:
            sentence = ""
        return Decision(passed=passed, margin=margin, sentence=sentence)
