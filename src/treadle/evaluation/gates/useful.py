"""The gate `Useful`: a candidate must be good enough in itself, whoever answers now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from treadle.core.errors import InvalidDeclaration
from treadle.evaluation.comparison import number, percent
from treadle.evaluation.declared import On, check, is_number, metrics_of, spec_of
from treadle.evaluation.gate import Case, Ruling
from treadle.evaluation.interval import Interval
from treadle.evaluation.intervals import interval
from treadle.evaluation.lookups import By
from treadle.evaluation.ruling import Question, answered, few_groups, finite, questions, too_few_rows

THRESHOLD = "threshold"


@dataclass(frozen=True)
class Useful:
    """Pass a candidate whose metric surely reaches a threshold: the whole interval does.

    Give `at_least` for a metric of which more is better, else `at_most`. A candidate that is just at the threshold
    passes with a chance of alpha / 2. `by`, `min_rows` and `method` are those of `Beats`; each part must reach it.

    >>> Useful("roc_auc", at_least=0.7).threshold
    0.7

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    on: On
    at_least: float | None = None
    at_most: float | None = None
    alpha: float = 0.05
    min_rows: int = 200
    by: By = None
    method: str | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(self)
        if len(metrics_of(self.on)) != 1 or (self.at_least is None) == (self.at_most is None):
            msg = f"{self}: expected one metric, and at_least or at_most, as td.gates.Useful('roc_auc', at_least=0.7)."
            raise InvalidDeclaration(msg, field="on")
        if not is_number(self.threshold):
            msg = f"{self}: expected a number as the threshold."
            raise InvalidDeclaration(msg, field="at_least" if self.at_most is None else "at_most")

    @classmethod
    def example(cls, reference: str) -> Self:  # noqa: ARG003 - it compares with nobody
        """Return one for its contract suite."""
        return cls("roc_auc", at_least=0.8)

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "useful"

    @property
    def threshold(self) -> float:
        """What the metric must reach."""
        found = self.at_most if self.at_least is None else self.at_least
        assert found is not None
        return found

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate, on all rows and on each part.

        Raises:
            InvalidInput: the metric does not fit the task.
            InvalidDeclaration: the better side of the metric is not the one that was declared.
        """
        wanted = self.at_least is not None
        measure = case.measure(metrics_of(self.on)[0])
        if measure.greater_is_better != wanted:
            side = "at_least" if measure.greater_is_better else "at_most"
            msg = f"Useful({measure.name!r}): say {side}, for {'more' if measure.greater_is_better else 'less'} is better."
            raise InvalidDeclaration(msg, field=side)

        def answer(question: Question, level: float) -> Ruling:
            return too_few_rows(question, level, gate=self, case=case) or self._ruling(question, level, case)

        return tuple(answered(self, questions(self, case, None), answer))

    def _ruling(self, question: Question, level: float, case: Case) -> Ruling:
        pair = case.pair(None, measure=case.measure(question.on), rows=question.rows)
        found = interval(pair, alpha=level, method=self.method)
        reason = few_groups(found.n, found.units, grouped=pair.groups is not None) or found.why
        reached = found.low >= self.threshold if self.at_most is None else found.high <= self.threshold
        where = f"Of {question.slice}: " if question.slice else ""
        return Ruling(
            reference=THRESHOLD,
            metric=pair.measure.name,
            candidate_value=finite(found.first),
            reference_value=float(self.threshold),
            difference=finite(found.first - self.threshold),
            low=finite(found.low - self.threshold),
            high=finite(found.high - self.threshold),
            alpha=level,
            n=found.n,
            passed=found.is_defined and not reason and reached,
            reason=where + (reason or self._sentence(pair.measure.name, found, reached=reached)),
            slice=question.slice,
            method=found.method,
        )

    def _sentence(self, metric: str, found: Interval, *, reached: bool) -> str:
        if not found.is_defined:
            return f"{metric} has no value for candidate, or no interval, on these {found.n:,} rows."
        size = max(abs(found.low), abs(found.high))
        ends = f"{percent(1 - found.alpha)} interval {number(found.low, size)} to {number(found.high, size)}"
        side = "at least" if self.at_most is None else "at most"
        said = f"{side} {number(self.threshold)}"
        return (
            f"candidate's {metric} is {number(found.first, size)} ({ends}, n = {found.n:,}): "
            f"{f'surely {said}' if reached else f'not surely {said}'}."
        )
