"""A metric as the rest of evaluation uses it, whichever of the optional functions its module has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from treadle.core import plugins
from treadle.evaluation.arrays import Floats

Pairs = Callable[[npt.ArrayLike, npt.ArrayLike], Floats]


@dataclass(frozen=True)
class Measure:
    """A metric plug-in.

    >>> metric("log_loss").tasks
    ('classification', 'multiclass', 'multilabel')
    """

    module: ModuleType
    #: What the numbers of a prediction are called, for metrics that have to know (their module says `COLUMNS = True`).
    columns: tuple[str, ...] = ()
    #: What a question says to its metrics, as where a ranking is cut (their module names what it takes as `OPTIONS`).
    options: tuple[tuple[str, Any], ...] = ()

    def asked(self, options: Mapping[str, Any]) -> Measure:
        """Return the metric with what a question says to it, as far as it takes it."""
        taken = getattr(self.module, "OPTIONS", ())
        return replace(self, options=tuple((name, options[name]) for name in taken if name in options))

    def over(self, columns: Sequence[str]) -> Measure:
        """Return the metric of predictions with these columns."""
        return replace(self, columns=tuple(columns))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return str(self.module.NAME)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks whose predictions it takes: its module's `TASK`, one name or several."""
        given = self.module.TASK
        return (given,) if isinstance(given, str) else tuple(given)

    @property
    def greater_is_better(self) -> bool:
        """Whether a greater value is the better one."""
        return bool(self.module.GREATER_IS_BETTER)

    @property
    def per_row(self) -> Pairs | None:
        """The function of outcomes and predictions whose mean over rows is the metric; None: it is no such mean."""
        return cast("Pairs | None", self._function("per_row"))

    @property
    def terms(self) -> Pairs | None:
        """The function whose means over rows, of shape (rows, k), decide the metric; None: none do."""
        if self.per_row is not None:
            per_row = self.per_row
            return lambda y, p: per_row(y, p)[:, None]
        return cast("Pairs | None", self._function("terms"))

    @property
    def influence(self) -> Callable[[npt.ArrayLike, npt.ArrayLike, Floats | None], Floats | None] | None:
        """The function that says how far each row moves the metric; None: it has none of its own."""
        return cast(
            "Callable[[npt.ArrayLike, npt.ArrayLike, Floats | None], Floats] | None",
            self._function("influence"),
        )

    @property
    def is_folded(self) -> bool:
        """Whether it adds up absolute values of means, which noise alone makes greater."""
        return bool(getattr(self.module, "FOLDED", False))

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value that there can be."""
        low, high = getattr(self.module, "BOUNDS", (None, None))
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)

    @property
    def is_scaled(self) -> bool:
        """Whether it takes outcomes and predictions in a unit of each row's own: see `Snapshot.in_unit`."""
        return bool(getattr(self.module, "SCALED", False))

    def combine(self, means: Floats) -> Floats:
        """Return the metric, of shape (…), of the means of the terms, of shape (…, k)."""
        if self.per_row is not None:
            return means[..., 0]
        return np.asarray(self.module.combine(means))

    def value(self, y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Return the metric; NaN where it has no value for such rows."""
        return float(self._function("value")(y, p, weight))

    def prepare(self, y: npt.ArrayLike, p: npt.ArrayLike) -> Callable[[Floats], float]:
        """Return the metric as a function of the rows' weights."""
        prepare = self._function("prepare")
        if prepare is None:
            return lambda weight: self.value(y, p, weight)
        prepared: Callable[[Floats], float] = prepare(y, p)
        return prepared

    def _function(self, name: str) -> Any:
        found = getattr(self.module, name, None)
        more = dict(self.options) if name != "combine" else {}
        if getattr(self.module, "COLUMNS", False):
            more["columns"] = self.columns
        return partial(found, **more) if found is not None and more else found

    def spec(self) -> dict[str, str]:
        """Return the declaration as plain values."""
        return {"metric": self.name}


def metric(name: str) -> Measure:
    """Return a metric by name.

    Raises:
        NotFound: no metric has that name.
    """
    return Measure(plugins.load("metric", name))
