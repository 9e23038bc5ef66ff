"""What a model's answers hold besides its prediction: declared with the model, settled on each version's validation rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from treadle.core.answering import Answering, Reach, Step
from treadle.core.answers import labels_above, scored
from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.core.signature import Field, OnlineView, Signature, field_of
from treadle.evaluation.abstention import Abstain, AtRisk, Wider, confidence
from treadle.evaluation.conformal import ConformalIntervals, ConformalSets
from treadle.evaluation.declared import is_number
from treadle.serving.answering import groups
from treadle.serving.encoding import encode
from treadle.training.data import TrainingData
from treadle.training.task import Task

Decision = Abstain | AtRisk | Wider
_NUMBERS = ("regression", "quantiles")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What answers hold besides the prediction.

    `coverage` asks for an interval round a number, or a set of classes, that holds the truth that often; with `by`, the
    name of an input, within each of its values. `decisions` say where a row is not just answered, by confidence
    (`td.Abstain`, `td.AtRisk`) or by the width of the interval or set (`td.Wider`); `ask_for` are inputs without which
    the caller is asked for them. All of it is settled on the validation rows of each version.

    >>> Answers(coverage=0.9, decisions=[Abstain(below=0.6, then="review"), Wider(than=1)], ask_for=["distance"]).coverage
    0.9

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    coverage: float | None = None
    by: str = ""
    decisions: Sequence[Decision] = ()
    ask_for: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check what was declared."""
        if self.coverage is not None and not (is_number(self.coverage) and 0 < self.coverage < 1):
            raise _wrong("coverage", self.coverage, "expected more than 0 and less than 1, as 0.9")
        if self.by and self.coverage is None:
            raise _wrong("by", self.by, "which needs a coverage to hold within its values, as coverage=0.9")
        given: object = self.decisions
        kinds = (Abstain, AtRisk, Wider)
        if not isinstance(given, Sequence) or not all(isinstance(one, kinds) for one in given):
            raise _wrong("decisions", given, "expected a list of td.Abstain, td.AtRisk and td.Wider")
        if self.coverage is None and any(isinstance(one, Wider) for one in self.decisions):
            raise _wrong("decisions", "td.Wider", "which needs the width of an interval or set: coverage=0.9")
        if isinstance(self.ask_for, str):
            raise _wrong("ask_for", self.ask_for, f"expected a list, as [{self.ask_for!r}]")
        object.__setattr__(self, "decisions", tuple(self.decisions))
        object.__setattr__(self, "ask_for", tuple(self.ask_for))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "coverage": self.coverage,
            "by": self.by,
            "decisions": [one.spec() for one in self.decisions],
            "ask_for": list(self.ask_for),
        }

    def check(self, task: Task, *, where: str) -> None:
        """Make sure that a question can be answered like this.

        Raises:
            InvalidDeclaration: it has no intervals or sets, or no confidences.
        """
        last = task.outputs[-1]
        likely = last.name in {"probability", "probabilities"}
        if self.coverage is not None and not (task.name in _NUMBERS or (likely and not last.independent)):
            msg = f"{where}: answers has a coverage; intervals are of td.Regression and td.Quantiles, sets of td.Classification and td.Multiclass."
            raise InvalidDeclaration(msg, field="answers")
        if not likely and any(not isinstance(one, Wider) for one in self.decisions):
            msg = f"{where}: answers decides by a confidence, and those of td.{type(task).__name__} have none. Use td.Wider(than=…)."
            raise InvalidDeclaration(msg, field="answers")


def settled(declared: Answers, data: TrainingData, p: np.ndarray) -> Answering:
    """Return what is declared with its numbers, given the answers `p` to the validation rows.

    Raises:
        InvalidInput: there are too few validation rows, no confidence keeps a declared risk, or an input cannot be used.
    """
    _check_inputs(declared, data.signature)
    last = scored(data.signature)
    likely = last.name in {"probability", "probabilities"}
    reach = None if declared.coverage is None else _reach(declared, data, p, likely=likely)
    wrong, sure = (_wrongs(data, p, last), _sure(p, last)) if likely else (np.empty(0), np.empty(0))
    return Answering(
        interval=None if likely else reach,
        classes=reach if likely else None,
        steps=tuple(_step(one, wrong, sure) for one in declared.decisions),
        ask_for=tuple(declared.ask_for),
    )


def online_views(
    views: Sequence[Any], data: TrainingData, *, beside: Collection[str] = ()
) -> tuple[OnlineView, ...]:
    """Return which inputs a server can read from feature views, and the entities that callers send instead.

    `beside` are features that are no inputs, but that on-demand features are made of.
    """
    found = []
    for view in views:
        given = tuple(name for name in view.output_names if name in data.inputs or name in beside)
        if given:
            entities = tuple(_entity(name, data) for name in view.entities)
            found.append(OnlineView(view=view.name, entities=entities, fields=given))
    return tuple(found)


def _entity(name: str, data: TrainingData) -> Field:
    if name in data.inputs:
        return data.signature.field(name)
    return msgspec.structs.replace(field_of(data.train.frame[name]), levels=())


def _check_inputs(declared: Answers, signature: Signature) -> None:
    for name in filter(None, (declared.by, *declared.ask_for)):
        if name not in signature.names:
            msg = f"The answers go by {name!r}, which is no input of the model. {closest(name, signature.names)}"
            raise InvalidInput(msg, field="answers")
    if declared.by and signature.field(declared.by).kind in {"float", "timestamp"}:
        msg = f"The answers' coverage is to hold within each value of {declared.by!r}, which is {signature.field(declared.by).kind}. Expected groups."
        raise InvalidInput(msg, field="by")
    for name in declared.ask_for:
        if not signature.field(name).nullable:
            msg = f"The answers ask for {name!r}, which is never missing: a request without it is refused. Let the contract allow null."
            raise InvalidInput(msg, field="ask_for")


def _reach(declared: Answers, data: TrainingData, p: np.ndarray, *, likely: bool) -> Reach:
    assert declared.coverage is not None
    rows, alpha = data.validation, 1 - declared.coverage
    needed = math.ceil(1 / alpha - 1e-6) - 1
    if len(rows) < needed:
        msg = f"A coverage of {declared.coverage:g} needs {needed:,} validation rows, and there are {len(rows):,}. Ask for less, or split off more."
        raise InvalidInput(msg, field="coverage")
    by = _groups(data, declared.by) if declared.by else None
    if likely:
        sets = ConformalSets.fit(rows.y, p, alpha=alpha, by=by)
        reach, reaches = sets.reach, sets.reaches
    else:
        outer = p if p.ndim == 1 else p[:, [0, -1]]
        ends = ConformalIntervals.fit(rows.y, outer, alpha=alpha, by=by)
        reach, reaches = ends.width, ends.widths
    # Of groups with too few rows nothing is known: they get the reach of all rows, as groups that were not seen.
    kept = {name: one for name, one in reaches.items() if math.isfinite(one)}
    return Reach(coverage=declared.coverage, reach=reach, by=declared.by, reaches=kept, rows=len(rows))


def _groups(data: TrainingData, by: str) -> np.ndarray:
    """Return the group of each validation row, as a server will name it: by the value that the model is fed."""
    field, values = data.signature.field(by), data.validation.X[by].to_list()
    return np.array(groups(encode(field, values, place=lambda row: f"{by}[{row}]")))


def _sure(p: np.ndarray, last: Field) -> np.ndarray:
    return np.maximum(p, 1 - p).min(axis=1) if last.independent else confidence(p)


def _wrongs(data: TrainingData, p: np.ndarray, last: Field) -> np.ndarray:
    y = data.validation.y
    if last.independent:
        field = next(one for one in data.signature.outputs if one.separator)
        said = labels_above(p, field, last.columns)
        true = labels_above(
            np.asarray(y, dtype=np.float64), msgspec.structs.replace(field, above=0.5), last.columns
        )
        return np.asarray(said != true, dtype=np.float64)
    said = p > data.signature.outputs[0].above if p.ndim == 1 else p.argmax(axis=1)
    return np.asarray(said != y, dtype=np.float64)


def _step(declared: Decision, wrong: np.ndarray, sure: np.ndarray) -> Step:
    if isinstance(declared, Wider):
        return Step(on="width", limit=float(declared.than), then=declared.then)
    if isinstance(declared, AtRisk):
        declared = Abstain.at_risk(
            wrong, sure, most=declared.most, then=declared.then, chance=declared.chance
        )
    return Step(on="confidence", limit=float(declared.below), then=declared.then)


def _wrong(field: str, given: object, expected: str) -> InvalidDeclaration:
    return InvalidDeclaration(f"Answers({field}={given!r}): {expected}.", field=field)
