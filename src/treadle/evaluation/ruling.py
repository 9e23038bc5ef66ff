"""How comparing gates rule: each metric on each part of the rows beside each reference, as one family of questions.

Where all must hold, no correction is needed: a candidate that fails one question in truth passes that one, and so all,
with a chance of alpha / 2 at most (an intersection-union test, Berger 1982). Where one is enough, each question more is
a chance more to be lucky, and Holm's procedure (1979) allows for it: of m questions, the first must hold at alpha / m,
the next at alpha / (m - 1), and so on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from treadle.core.errors import closest
from treadle.evaluation.arrays import Floats
from treadle.evaluation.comparison import Comparison
from treadle.evaluation.declared import Comparing, Declared, metrics_of
from treadle.evaluation.gate import BASELINE, CANDIDATE, CHAMPION, Case, Ruling
from treadle.evaluation.lookups import columns_of
from treadle.evaluation.objective import Objective

#: The fewest groups from which an interval is taken: fewer make it too narrow.
MIN_GROUPS = 30
#: What a verdict says about several questions: one was enough, or all had to hold.
HOLM, ALL = "holm", "all"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a comparison is good enough, the largest harm that was accepted, and what to add in words."""

    passed: bool
    margin: float
    sentence: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """One metric, on all rows or a part of them, beside one reference; None: the candidate alone."""

    reference: str | None
    on: str | Objective | None
    slice: str = ""
    #: Places of the rows; None: all.
    rows: npt.NDArray[np.int64] | None = None


#: Rules on one question at a level.
Answer = Callable[[Question, float], Ruling]
Decide = Callable[[Comparison], Decision]


def rule(gate: Comparing, case: Case, decide: Decide, *, enough: str = ALL) -> tuple[Ruling, ...]:
    """Compare with each reference and decide; nothing passes on too few rows or without an interval.

    `enough` is `all`, each question must hold, or `any`, one of them is enough.
    """
    references = case.references(gate.reference)
    if not references:
        return (_nobody(gate, case),)

    def answer(question: Question, level: float) -> Ruling:
        return _against(question, level, gate=gate, case=case, decide=decide)

    families = [questions(gate, case, name) for name in references]
    return tuple(one for family in families for one in answered(gate, family, answer, enough=enough))


def answered(
    gate: Declared, family: tuple[list[Question], str], answer: Answer, *, enough: str = ALL
) -> list[Ruling]:
    """Answer a family of questions, and say in each ruling how their number was allowed for."""
    asked, told = family
    if len(asked) == 1:
        found = [answer(asked[0], gate.alpha)]
    elif enough == ALL:
        found = [msgspec.structs.replace(answer(one, gate.alpha), correction=ALL) for one in asked]
    else:
        found = _one_is_enough(holm(asked, gate.alpha, answer))
    return [msgspec.structs.replace(found[0], reason=f"{found[0].reason}{told}"), *found[1:]]


def holm(asked: list[Question], alpha: float, answer: Answer) -> list[Ruling]:
    """Answer each question at the level at which Holm's procedure does."""
    found: dict[int, Ruling] = {}
    while True:
        left = [place for place in range(len(asked)) if not (place in found and found[place].passed)]
        if not left:
            break
        before = len(left)
        found.update({place: answer(asked[place], alpha / before) for place in left})
        if sum(not found[place].passed for place in left) in (before, 0):
            break
    return [found[place] for place in range(len(asked))]


def questions(gate: Declared, case: Case, reference: str | None) -> tuple[list[Question], str]:
    """Return what a gate asks beside a reference, and a sentence about parts of the rows that are too small."""
    by = columns_of(gate.by, where=type(gate).__name__)
    parts = case.snapshot.slices(by) if by else {}
    large = {name: rows for name, rows in parts.items() if len(rows) >= gate.min_rows}
    names = metrics_of(gate.on)
    asked = [Question(reference=reference, on=on) for on in names]
    asked += [
        Question(reference=reference, on=on, slice=name, rows=rows)
        for name, rows in large.items()
        for on in names
    ]
    return asked, _too_small(parts, large, gate)


def _too_small(
    parts: dict[str, npt.NDArray[np.int64]], large: dict[str, npt.NDArray[np.int64]], gate: Declared
) -> str:
    small = {name: len(rows) for name, rows in parts.items() if name not in large}
    if not small:
        return ""
    return f" Not judged apart: {len(small)} slices of fewer than {gate.min_rows:,} rows, {sum(small.values()):,} rows in all."


def _one_is_enough(found: list[Ruling]) -> list[Ruling]:
    better = [" on ".join(filter(None, (one.metric, one.slice))) for one in found if one.passed]
    count = f"one of {len(found)} is enough"
    said = f" Passed, for {count}: {', '.join(better)}." if better else f" Not passed, though {count}."
    return [
        msgspec.structs.replace(one, passed=bool(better), correction=HOLM, reason=f"{one.reason}{said}")
        for one in found
    ]


def _nobody(gate: Comparing, case: Case) -> Ruling:
    others = [name for name in case.predictions if name != CANDIDATE]
    if gate.reference == CHAMPION:
        reason = "There is no champion yet that it could be compared with: passed."
    elif gate.reference == BASELINE:
        reason = "There is no baseline to compare with. Declare one, as baselines=[td.baselines.Prior()]."
    else:
        reason = f"There is no contender named {gate.reference!r}. {closest(gate.reference, others)}"
    return Ruling(
        reference=gate.reference,
        metric=case.measure(metrics_of(gate.on)[0]).name,
        alpha=gate.alpha,
        n=len(case.snapshot),
        passed=gate.reference == CHAMPION,
        reason=reason,
    )


def _against(question: Question, level: float, *, gate: Comparing, case: Case, decide: Decide) -> Ruling:
    assert question.reference is not None
    if refused := too_few_rows(question, level, gate=gate, case=case):
        return refused
    comparison = case.compare(
        question.reference, on=question.on, alpha=level, method=gate.method, rows=question.rows
    )
    found = comparison.interval
    decision = _decision(comparison, case, decide)
    where = f"Of {question.slice}: " if question.slice else ""
    return Ruling(
        reference=question.reference,
        metric=comparison.measure.name,
        candidate_value=finite(found.first),
        reference_value=finite(found.second),
        difference=finite(found.difference),
        low=finite(found.low),
        high=finite(found.high),
        alpha=level,
        margin=decision.margin,
        n=found.n,
        passed=decision.passed,
        reason=f"{where}{decision.sentence}",
        slice=question.slice,
        method=found.method,
    )


def too_few_rows(question: Question, level: float, *, gate: Declared, case: Case) -> Ruling | None:
    """Return the ruling on a question that has too few rows to be asked; None: it has enough."""
    n = len(case.snapshot) if question.rows is None else len(question.rows)
    if n >= max(gate.min_rows, 2):
        return None
    return Ruling(
        reference=question.reference or "",
        metric=case.measure(question.on).name,
        alpha=level,
        n=n,
        passed=False,
        reason=f"Only {n:,} rows can be compared; at least {max(gate.min_rows, 2):,} are needed.",
        slice=question.slice,
    )


def few_groups(n: int, units: int, *, grouped: bool) -> str:
    """Say that rows are of too few groups; empty: they are not."""
    if not grouped or units >= MIN_GROUPS:
        return ""
    return f"The {n:,} rows are of {units:,} groups only; at least {MIN_GROUPS} are needed."


def finite(value: float) -> float | None:
    """Return the value, or None where it is none."""
    return value if math.isfinite(value) else None


def _decision(comparison: Comparison, case: Case, decide: Decide) -> Decision:
    found = comparison.interval
    if reason := few_groups(found.n, found.units, grouped=case.snapshot.groups is not None):
        return Decision(passed=False, margin=0.0, sentence=reason)
    if not found.is_defined:
        return Decision(passed=False, margin=0.0, sentence=_undefined(comparison))
    decision = decide(comparison)
    said = f"{comparison.sentence()} {decision.sentence}".rstrip()
    return msgspec.structs.replace(decision, sentence=said)


def _undefined(comparison: Comparison) -> str:
    found, y = comparison.interval, comparison.pair.y
    values = {comparison.candidate: found.first, comparison.reference: found.second}
    without = [name for name, value in values.items() if not math.isfinite(value)]
    why = f", where every outcome is {_told(y[0])}" if np.all(y == y[0]) else ""
    if without:
        return f"{comparison.measure.name} has no value for {' and '.join(without)} on these {found.n:,} rows{why}."
    if found.why:
        return found.why
    return f"{comparison.measure.name} has no interval on these {found.n:,} rows{why}."


def _told(outcome: Floats) -> str:
    return ", ".join(f"{number:g}" for number in np.atleast_1d(outcome))
