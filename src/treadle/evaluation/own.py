"""The metrics of a question: those of one's own that it declares, under their names, beside the plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput
from treadle.core.metric import Metric
from treadle.evaluation.arrays import Floats, mean, truths, vector
from treadle.evaluation.measures import Measure
from treadle.evaluation.measures import metric as plugin


def measures_of(task: Any) -> dict[str, Measure]:
    """Return the metrics that a task itself declares, or tells something, by name; one set by its name has none.

    >>> measures_of("classification")
    {}
    """
    declared: Mapping[str, Metric | str] = getattr(task, "declared", {})
    options: Mapping[str, Any] = getattr(task, "options", {})
    told = {name: plugin(name).asked(options) for name in (task.metrics if options else ())}
    return told | {name: _measure(one, task.name) for name, one in declared.items()}


def measure_of(name: str, task: Any) -> Measure:
    """Return a metric by name, as a task (or the name of one) has it: its own first, else the plug-in.

    Raises:
        NotFound: no metric has that name.
    """
    return measures_of(task).get(name) or plugin(name)


def _measure(declared: Metric | str, task: str) -> Measure:
    return (
        Measure(cast("ModuleType", _Own(declared, task)))
        if isinstance(declared, Metric)
        else plugin(declared)
    )


class _Own:
    """A function in the shape of a metric's module."""

    def __init__(self, metric: Metric, task: str) -> None:
        self._function = metric.function
        self.NAME, self.TASK, self.GREATER_IS_BETTER = metric.name, task, metric.greater_is_better

    def per_row(self, y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
        outcomes, predictions = _fixed(y, what="outcomes"), _fixed(p, what="predictions")
        if len(outcomes) != len(predictions) or not len(outcomes):
            msg = f"There are {len(predictions):,} predictions for {len(outcomes):,} outcomes. Expected one for each, and a row."
            raise InvalidInput(msg)
        given = self._function(outcomes, predictions)
        said = f"numbers that the metric {self.NAME} gives"
        if np.shape(given) != (len(outcomes),):
            msg = (
                f"The metric {self.NAME} gives an array of shape {np.shape(given)} for {len(outcomes):,} rows. Expected one "
                "number for each row, whose mean is the metric."
            )
            raise InvalidInput(msg, field=self.NAME)
        return vector(given, what=said, field=self.NAME)

    def value(self, y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        return float(mean(self.per_row(y, p), weight))


def _fixed(values: npt.ArrayLike, *, what: str) -> Floats:
    """Return checked numbers that the function cannot change for others."""
    found = truths(values, what=what).view()
    found.flags.writeable = False
    return found
