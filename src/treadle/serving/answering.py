"""A model whose answers hold more than its own numbers: intervals, sets of classes, and what is to be done with each row.

It answers as the model does, row by row, so it can stand wherever one does. Everything it needs was settled in training
and stands in the signature (`core.answering`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from treadle.core.answering import ANSWER, Reach, Step
from treadle.core.answers import scored
from treadle.core.servable import Servable
from treadle.core.signature import Field, Signature

#: Rounding that the improbability of a class may carry, as in training.
_ROUNDING = 1e-12
_SIDES = ("lower", "upper")
_TWO = ("false", "true")
Columns = Mapping[str, np.ndarray]


def with_answers(servable: Servable) -> Servable:
    """Return a model with what its signature says that answers hold besides; as it is where that is nothing."""
    return servable if servable.signature.answering is None else Answered(servable)


def classes_of(signature: Signature) -> tuple[str, ...]:
    """Return what the classes of a set are called: `false` and `true` of two."""
    return scored(signature).columns or _TWO


def told(signature: Signature) -> Signature:
    """Return the signature of answers with what they hold besides; the last output stays the scored one."""
    held, more = signature.answering, []
    if held is None:
        return signature
    if held.interval:
        more.append(Field(name="interval", kind="float", columns=_SIDES))
    if held.classes:
        more.append(Field(name="set", kind="boolean", columns=classes_of(signature)))
    if held.decides:
        more += [Field(name="decision", kind="string"), Field(name="reason", kind="string")]
    outputs = (*signature.outputs[:-1], *more, scored(signature))
    return msgspec.structs.replace(signature, outputs=outputs)


class Answered:
    """A model that says besides what `Answering` says."""

    def __init__(self, servable: Servable) -> None:
        """Take a model whose signature has `answering`."""
        assert servable.signature.answering is not None
        self._servable, self._held = servable, servable.signature.answering
        self._own = servable.signature
        self._last = scored(self._own)
        self._steps = ordered(self._held.steps)
        self._asks_sure = any(step.on == "confidence" for step in self._steps)
        self.signature = told(servable.signature)
        reach = self._held.interval or self._held.classes
        looks = bool(self._held.ask_for or (reach and reach.by))
        #: The matrices that the model can be fed, where no column has to be looked at besides.
        self.packing = () if looks else getattr(servable, "packing", ())

    def predict(self, columns: Columns) -> dict[str, np.ndarray]:
        """Answer for encoded rows; see `core.servable`."""
        return self._told(self._servable.predict(columns), columns)

    def predict_packed(self, feed: Columns, rows: int) -> dict[str, np.ndarray]:
        """Answer for so many rows that are packed into matrices."""
        return self._told(self._servable.predict_packed(feed, rows), {})  # type: ignore[attr-defined]

    def _told(self, given: dict[str, np.ndarray], columns: Columns) -> dict[str, np.ndarray]:
        numbers = given[self._last.name]
        found = {name: values for name, values in given.items() if name != self._last.name}
        widths = None
        if self._held.interval:
            found["interval"] = interval(numbers, self._held.interval, columns)
            widths = found["interval"][:, 1] - found["interval"][:, 0]
        if self._held.classes:
            found["set"] = classes(numbers, self._held.classes, columns)
            widths = found["set"].sum(axis=1).astype(np.float64)
        if self._held.decides:
            found["decision"], found["reason"] = self._decided(numbers, widths, columns)
        return {**found, self._last.name: numbers}

    def _decided(
        self, numbers: np.ndarray, widths: np.ndarray | None, columns: Columns
    ) -> tuple[np.ndarray, np.ndarray]:
        sure = confidence(numbers, self._last) if self._asks_sure else None
        doing, why = np.full(len(numbers), ANSWER, dtype=object), np.full(len(numbers), "", dtype=object)
        for step in self._steps:
            levels = sure if step.on == "confidence" else widths
            assert levels is not None
            for row in np.flatnonzero(self._meets(levels, step)).tolist():
                doing[row], why[row] = step.then, self._reason(step, float(levels[row]))
        lacking = {name: is_lacking(columns[name]) for name in self._held.ask_for}
        for row in np.flatnonzero(np.any([*lacking.values()], axis=0)).tolist() if lacking else ():
            names = [name for name, rows in lacking.items() if rows[row]]
            doing[row], why[row] = "ask", f"{' and '.join(names)} {'are' if names[1:] else 'is'} missing"
        return doing, why

    def _meets(self, levels: np.ndarray, step: Step) -> np.ndarray:
        if step.on == "confidence":
            return np.asarray(levels < step.limit)
        # A set without a class says that the row is like nothing that was seen.
        return np.asarray(
            (levels > step.limit) | (levels == 0) if self._held.classes else levels > step.limit
        )

    def _reason(self, step: Step, level: float) -> str:
        if step.on == "confidence":
            return f"confidence {level:.3g} is below {step.limit:.3g}"
        if not self._held.classes:
            return f"the interval is {level:.4g} wide, more than {step.limit:g}"
        return (
            f"{level:g} classes may be so, more than {step.limit:g}" if level else "no class is likely enough"
        )


def interval(numbers: np.ndarray, reach: Reach, columns: Columns) -> np.ndarray:
    """Return the ends of each row's interval, of shape (rows, 2), round estimates or beyond the outer quantiles."""
    low, high = (numbers, numbers) if numbers.ndim == 1 else (numbers[:, 0], numbers[:, -1])
    wide = reaches(reach, columns, rows=len(numbers))
    ends = np.column_stack([low - wide, high + wide])
    # Outer quantiles that are moved in may cross: then the interval is their middle.
    return np.where(ends[:, :1] <= ends[:, 1:], ends, ends.mean(axis=1, keepdims=True))


def classes(numbers: np.ndarray, reach: Reach, columns: Columns) -> np.ndarray:
    """Return which classes are in each row's set: bool of shape (rows, classes)."""
    shares = np.column_stack([1 - numbers, numbers]) if numbers.ndim == 1 else numbers
    return np.asarray(1 - shares <= reaches(reach, columns, rows=len(numbers))[:, None] + _ROUNDING)


def reaches(reach: Reach, columns: Columns, *, rows: int) -> np.ndarray:
    """Return the reach of each row: that of its group, or of all rows."""
    if not reach.by:
        return np.full(rows, reach.reach)
    return np.array([reach.reaches.get(name, reach.reach) for name in groups(columns[reach.by])])


def groups(values: np.ndarray) -> list[str]:
    """Return the group of each encoded value, as its text.

    >>> groups(np.array([1.0, np.nan], dtype=np.float32)), groups(np.array(["UA"], dtype=object))
    (['1', 'nan'], ['UA'])
    """
    if values.dtype.kind == "f":
        return [f"{value:g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def confidence(numbers: np.ndarray, last: Field) -> np.ndarray:
    """Return how probable what is said is; of a set of labels, of the one that is least sure."""
    if numbers.ndim == 1:
        return np.asarray(np.maximum(numbers, 1 - numbers))
    if last.independent:
        return np.asarray(np.maximum(numbers, 1 - numbers).min(axis=1))
    return np.asarray(numbers.max(axis=1))


def ordered(steps: Sequence[Step]) -> list[Step]:
    """Return steps so that of those that a row meets the last one counts: the strictest, and confidence before width."""
    wide = sorted((step for step in steps if step.on == "width"), key=lambda step: step.limit)
    return wide + sorted((step for step in steps if step.on == "confidence"), key=lambda step: -step.limit)


def is_lacking(values: np.ndarray) -> np.ndarray:
    """Return which encoded values stand for one that is missing."""
    if values.dtype == object:
        return np.asarray(values == "")
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)


def plain(values: np.ndarray, columns: tuple[str, ...] | None) -> list[Any]:
    """Return an output of each row as plain values: several numbers by their columns' names, a set as a list of names.

    >>> plain(np.array([[True, False]]), ("cat", "dog")), plain(np.array([[0.7, 0.3]]), ("cat", "dog"))
    ([['cat']], [{'cat': 0.7, 'dog': 0.3}])
    """
    if columns is None:
        return list(values.tolist())
    if values.dtype == bool:
        names = np.array([False, True] if columns == _TWO else columns, dtype=object)
        return [names[row].tolist() for row in values]
    return [dict(zip(columns, row, strict=True)) for row in values.tolist()]
