"""Several metrics as one that decides: a weighted sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from treadle.core import plugins
from treadle.core.errors import InvalidDeclaration, closest
from treadle.evaluation.arrays import Floats
from treadle.evaluation.influence import Scored
from treadle.evaluation.measures import Measure, metric


@dataclass(frozen=True)
class Objective:
    """Decide on a weighted sum of metrics, as `td.gates.Beats("champion", on=td.Objective({...}))`.

    A metric of which less is better counts against, so that more of the objective is always better. A weight says what
    one unit of that metric is worth: 0.01 of roc_auc at a weight of 2 is as much as 0.02 of log loss at a weight of 1.

    >>> both = Objective({"log_loss": 1.0, "roc_auc": 2.0})
    >>> both.name
    '2*roc_auc-1*log_loss'
    >>> round(both.measure.value([1, 0, 1], [0.9, 0.2, 0.6]), 3)
    1.72

    Raises:
        InvalidDeclaration: a metric is unknown or raised by noise, no task is common to all, or a weight is not more
            than 0.
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        """Check what was declared."""
        known = plugins.available("metric")
        for name, weight in self.weights.items():
            if name not in known:
                msg = f"Objective({self.weights!r}) names no metric: {name!r}. {closest(str(name), known)}"
                raise InvalidDeclaration(msg, field="weights")
            given: object = weight
            if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
                msg = (
                    f"Objective({self.weights!r}): the weight of {name} is {weight!r}; expected more than 0."
                )
                raise InvalidDeclaration(msg, field="weights")
            if metric(name).is_folded:
                msg = f"Objective({self.weights!r}): noise alone raises {name}, so that it cannot be part of a sum. brier holds calibration too."
                raise InvalidDeclaration(msg, field="weights")
            if metric(name).is_scaled:
                msg = f"Objective({self.weights!r}): {name} is in units of each series, so that it cannot be part of a sum. Take mae."
                raise InvalidDeclaration(msg, field="weights")
        if not self.tasks:
            msg = f"Objective({self.weights!r}): expected one metric or more, with a task in common."
            raise InvalidDeclaration(msg, field="weights")

    def __hash__(self) -> int:
        """Return the same for equal objectives."""
        return hash(self.name)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that all its metrics are for."""
        found = [metric(name).tasks for name in self.weights]
        return tuple(task for task in (found[0] if found else ()) if all(task in tasks for tasks in found))

    @property
    def name(self) -> str:
        """The sum, in words; the same for the same weights."""
        parts = sorted(self.parts(), key=lambda part: (-part[1], part[0].name))
        texts = [f"{'+' if weight > 0 else '-'}{abs(weight):g}*{measure.name}" for measure, weight in parts]
        return "".join(texts).removeprefix("+")

    @property
    def measure(self) -> Measure:
        """The metric that it is."""
        return Measure(cast("ModuleType", _Sum(self)))

    def parts(self) -> list[tuple[Measure, float]]:
        """Return each metric with its signed weight."""
        found = [(metric(name), float(weight)) for name, weight in self.weights.items()]
        return [(one, weight if one.greater_is_better else -weight) for one, weight in found]

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"objective": {name: float(self.weights[name]) for name in sorted(self.weights)}}


class _Sum:
    """A weighted sum in the shape of a metric's module."""

    GREATER_IS_BETTER = True
    COLUMNS = True

    def __init__(self, objective: Objective) -> None:
        self.NAME = objective.name
        self._parts = objective.parts()
        self.TASK = objective.tasks
        if all(measure.per_row is not None for measure, _ in self._parts):
            self.per_row = self._per_row

    def value(
        self,
        y: npt.ArrayLike,
        p: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        *,
        columns: Sequence[str] = (),
    ) -> float:
        return sum(worth * measure.value(y, p, weight) for measure, worth in self._over(columns))

    def prepare(
        self, y: npt.ArrayLike, p: npt.ArrayLike, *, columns: Sequence[str] = ()
    ) -> Callable[[Floats], float]:
        ready = [(measure.prepare(y, p), worth) for measure, worth in self._over(columns)]
        return lambda weight: sum(worth * value(weight) for value, worth in ready)

    def influence(
        self, y: Floats, p: Floats, weight: Floats | None = None, *, columns: Sequence[str] = ()
    ) -> Floats | None:
        found = [(Scored(one, y, p, weight).influence, worth) for one, worth in self._over(columns)]
        if any(values is None for values, _ in found):
            return None
        return np.asarray(sum(worth * values for values, worth in found if values is not None))

    def _per_row(self, y: npt.ArrayLike, p: npt.ArrayLike, *, columns: Sequence[str] = ()) -> Floats:
        rows = [worth * one.per_row(y, p) for one, worth in self._over(columns) if one.per_row is not None]
        return np.asarray(sum(rows))

    def _over(self, columns: Sequence[str]) -> list[tuple[Measure, float]]:
        return [(measure.over(columns), worth) for measure, worth in self._parts]
