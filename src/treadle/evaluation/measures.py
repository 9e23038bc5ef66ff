"""A metric as the rest of evaluation uses it, whichever of the optional functions its module has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import cast

import numpy as np
import numpy.typing as npt

from treadle.core import plugins
from treadle.evaluation.arrays import Floats

Pairs = Callable[[npt.ArrayLike, npt.ArrayLike], Floats]


@dataclass(frozen=True)
class Measure:
    """A metric plug-in.

    >>> metric("rmse").tasks
    ('regression',)
    """

    module: ModuleType

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
        return cast("Pairs | None", getattr(self.module, "per_row", None))

    @property
    def terms(self) -> Pairs | None:
        """The function whose means over rows, of shape (rows, k), decide the metric; None: none do."""
        if self.per_row is not None:
            per_row = self.per_row
            return lambda y, p: per_row(y, p)[:, None]
        return cast("Pairs | None", getattr(self.module, "terms", None))

    @property
    def influence(self) -> Callable[[npt.ArrayLike, npt.ArrayLike, Floats | None], Floats | None] | None:
        """The function that says how far each row moves the metric; None: it has none of its own."""
        return getattr(self.module, "influence", None)

    @property
    def is_folded(self) -> bool:
        """Whether it adds up absolute values of means, which noise alone makes greater."""
        return bool(getattr(self.module, "FOLDED", False))

    def combine(self, means: Floats) -> Floats:
        """Return the metric, of shape (…), of the means of the terms, of shape (…, k)."""
        if self.per_row is not None:
            return means[..., 0]
        return np.asarray(self.module.combine(means))

    def value(self, y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Return the metric; NaN where it has no value for such rows."""
        return float(self.module.value(y, p, weight))

    def prepare(self, y: npt.ArrayLike, p: npt.ArrayLike) -> Callable[[Floats], float]:
        """Return the metric as a function of the rows' weights."""
        if hasattr(self.module, "prepare"):
            return cast("Callable[[Floats], float]", self.module.prepare(y, p))
        return lambda weight: self.value(y, p, weight)

    def spec(self) -> dict[str, str]:
        """Return the declaration as plain values."""
        return {"metric": self.name}


def metric(name: str) -> Measure:
    """Return a metric by name.

    Raises:
        NotFound: no metric has that name.
    """
    return Measure(plugins.load("metric", name))
