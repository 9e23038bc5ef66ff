"""The gate `Beats`: a candidate must be better than a reference, and surely so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from treadle.evaluation.comparison import Comparison, number
from treadle.evaluation.declared import On, check, margin_of, reference_of, spec_of
from treadle.evaluation.gate import Case, Ruling
from treadle.evaluation.lookups import By
from treadle.evaluation.ruling import Decision, rule


@dataclass(frozen=True)
class Beats:
    """Pass a candidate whose whole interval is better than the reference's metric.

    `reference` is `"baseline"` (each baseline must be beaten), `"champion"`, or a contender's name. `on` is a metric, an
    `Objective` or a list of them, by default the task's own; `by` are columns by whose values the rows are judged in
    parts, too. With `enough="all"` the candidate must be better on each metric and part, with `"any"` on one of them,
    whose number Holm's procedure allows for. With `margin`, in the metric's unit, it must be better by more than that.
    `alpha` is one minus the confidence of the two-sided interval: a candidate that is no better than the margin asks
    passes with a chance of alpha / 2. Nothing passes on fewer rows than `min_rows`, and smaller parts are not judged.
    `method` names how intervals are made. Where no champion is there yet, everybody beats it.

    >>> Beats("baseline", on=["log_loss", "roc_auc"]).name
    'beats'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    reference: str
    on: On = None
    alpha: float = 0.05
    min_rows: int = 200
    margin: float = 0.0
    by: By = None
    enough: Literal["all", "any"] = "all"
    method: str | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(
            self,
            reference=reference_of(self),
            margin=margin_of(self.margin),
            enough=(self.enough, self.enough in ("all", "any"), "'all' or 'any'"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "beats"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate, beside each reference."""
        return rule(self, case, self.decide, enough=self.enough)

    def decide(self, comparison: Comparison) -> Decision:
        """Decide on one comparison whose interval is defined."""
        passed = comparison.harm[1] < -self.margin
        sentence = ""
        if not passed:
            needed = f" by more than {number(self.margin)}" if self.margin else ""
            sentence = f"It must be better{needed} to pass."
        return Decision(passed=passed, margin=0.0 - self.margin, sentence=sentence)
