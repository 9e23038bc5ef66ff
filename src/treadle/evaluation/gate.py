"""What gates have in common: the case that they are given, and the ruling that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from treadle.core import plugins
from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.evaluation.arrays import Floats
from treadle.evaluation.bootstrap import paired
from treadle.evaluation.comparison import Comparison
from treadle.evaluation.measures import Measure, metric
from treadle.evaluation.snapshots import Snapshot

CANDIDATE, CHAMPION, BASELINE = "candidate", "champion", "baseline"
#: The fewest groups from which an interval is taken: fewer make it too narrow.
MIN_GROUPS = 30


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says about a candidate beside one reference; a `core.records.Verdict` without its circumstances."""

    reference: str
    metric: str
    candidate_value: float | None = None
    reference_value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    alpha: float
    margin: float = 0.0
    n: int
    passed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """A candidate and those it may be compared with, all of them having answered the rows of one snapshot."""

    snapshot: Snapshot
    #: Contender → predictions of shape (rows,), as `Snapshot.checked` returns them.
    predictions: Mapping[str, Floats]
    #: The name of the task that was set.
    task: str
    #: The metric that decides where a gate names none.
    metric: str

    def measure(self, on: str | None) -> Measure:
        """Return the metric that decides.

        Raises:
            InvalidInput: it does not fit the task.
        """
        measure = metric(on or self.metric)
        if measure.task != self.task:
            fitting = [name for name in plugins.available("metric") if metric(name).task == self.task]
            msg = f"The metric {measure.name!r} is for {measure.task}; the task is {self.task}. {closest(measure.name, fitting)}"
            raise InvalidInput(msg, field="on")
        return measure

    def references(self, name: str) -> tuple[str, ...]:
        """Return the contenders of a name; `baseline` means each baseline."""
        if name == BASELINE:
            return tuple(one for one in self.predictions if one.startswith(f"{BASELINE}:"))
        return (name,) if name in self.predictions and name != CANDIDATE else ()

    def compare(self, reference: str, *, on: str | None, alpha: float) -> Comparison:
        """Compare the candidate with a contender."""
        measure = self.measure(on)
        interval = paired(
            measure,
            self.snapshot.y,
            first=self.predictions[CANDIDATE],
            second=self.predictions[reference],
            groups=self.snapshot.groups,
            alpha=alpha,
        )
        return Comparison(candidate=CANDIDATE, reference=reference, measure=measure, interval=interval)


class Gate(Protocol):
    """A check that a candidate must pass."""

    @property
    def name(self) -> str:
        """The plug-in's name."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values: equal gates have equal ones."""
        ...

    def judge(self, case: Case) -> tuple[Ruling, ...]:
        """Rule on a candidate: one ruling for each reference, at least one."""
        ...


class Comparing(Protocol):
    """A gate that compares with references by a metric."""

    @property
    def reference(self) -> str:
        """Whom the candidate is compared with."""
        ...

    @property
    def on(self) -> str | None:
        """The metric; None: the task's own."""
        ...

    @property
    def alpha(self) -> float:
        """One minus the confidence of the interval that decides."""
        ...

    @property
    def min_rows(self) -> int:
        """The fewest rows on which it passes anybody."""
        ...


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a comparison is good enough, the largest harm that was accepted, and what to add in words."""

    passed: bool
    margin: float
    sentence: str


def rule(gate: Comparing, case: Case, decide: Callable[[Comparison], Decision]) -> tuple[Ruling, ...]:
    """Compare with each reference and decide; nothing passes on too few rows or without an interval."""
    references = case.references(gate.reference)
    if not references:
        return (_nobody(gate, case),)
    return tuple(_against(name, gate=gate, case=case, decide=decide) for name in references)


def check(gate: Comparing, *, margin: float) -> None:
    """Check what a comparing gate declares.

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """
    declared: dict[str, tuple[object, bool, str]] = {
        "reference": (
            gate.reference,
            _is_name(gate.reference) and gate.reference != CANDIDATE,
            "another contender: 'champion', 'baseline', or a name",
        ),
        "alpha": (gate.alpha, _is_number(gate.alpha) and 0 < gate.alpha < 1, "between 0 and 1, as 0.05"),
        "min_rows": (
            gate.min_rows,
            _is_number(gate.min_rows) and gate.min_rows >= 1,
            "1 or more",
        ),
        "margin": (margin, _is_number(margin) and 0 <= margin < math.inf, "0 or more"),
    }
    for field, (value, holds, expected) in declared.items():
        if not holds:
            msg = f"{type(gate).__name__}({field}={value!r}): expected {expected}."
            raise InvalidDeclaration(msg, field=field)
    if gate.on is not None and gate.on not in plugins.available("metric"):
        msg = f"{type(gate).__name__}(on={gate.on!r}) names no metric. {closest(str(gate.on), plugins.available('metric'))}"
        raise InvalidDeclaration(msg, field="on")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nobody(gate: Comparing, case: Case) -> Ruling:
    others = [name for name in case.predictions if name != CANDIDATE]
    if gate.reference == CHAMPION:
        reason = "There is no champion yet, so there is nothing to compare with: passed."
    elif gate.reference == BASELINE:
        reason = "There is no baseline to compare with. Declare one, as baselines=[td.baselines.Prior()]."
    else:
        reason = f"There is no contender named {gate.reference!r}. {closest(gate.reference, others)}"
    return Ruling(
        reference=gate.reference,
        metric=case.measure(gate.on).name,
        alpha=gate.alpha,
        n=len(case.snapshot),
        passed=gate.reference == CHAMPION,
        reason=reason,
    )


def _against(
    reference: str, *, gate: Comparing, case: Case, decide: Callable[[Comparison], Decision]
) -> Ruling:
    measure, n = case.measure(gate.on), len(case.snapshot)
    if n < gate.min_rows or n < 2:
        reason = f"Only {n:,} rows can be compared; at least {max(gate.min_rows, 2):,} are needed."
        return Ruling(
            reference=reference, metric=measure.name, alpha=gate.alpha, n=n, passed=False, reason=reason
        )
    comparison = case.compare(reference, on=gate.on, alpha=gate.alpha)
    found = comparison.interval
    if case.snapshot.groups is not None and found.units < MIN_GROUPS:
        reason = f"The {n:,} rows are of {found.units:,} groups only; at least {MIN_GROUPS} are needed."
        decision = Decision(passed=False, margin=0.0, sentence=reason)
    elif not comparison.is_defined:
        decision = Decision(passed=False, margin=0.0, sentence=_undefined(comparison, case))
    else:
        decision = decide(comparison)
        decision = msgspec.structs.replace(
            decision, sentence=f"{comparison.sentence()} {decision.sentence}".rstrip()
        )
    return Ruling(
        reference=reference,
        metric=measure.name,
        candidate_value=_finite(found.first),
        reference_value=_finite(found.second),
        difference=_finite(found.difference),
        low=_finite(found.low),
        high=_finite(found.high),
        alpha=gate.alpha,
        margin=decision.margin,
        n=found.n,
        passed=decision.passed,
        reason=decision.sentence,
    )


def _undefined(comparison: Comparison, case: Case) -> str:
    found, y = comparison.interval, case.snapshot.y
    values = {comparison.candidate: found.first, comparison.reference: found.second}
    without = [name for name, value in values.items() if not math.isfinite(value)]
    why = f", where every outcome is {y[0]:g}" if np.all(y == y[0]) else ""
    if without:
        return f"{comparison.measure.name} has no value for {' and '.join(without)} on these {found.n:,} rows{why}."
    return f"{comparison.measure.name} has no interval on these {found.n:,} rows{why}: too often a draw has no value."


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
