"""Quantile regression: how much, and how sure? Answers are several quantiles of the number, lowest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration, RunFailed
from treadle.core.signature import Field
from treadle.training.answers import answers_of, checked_columns
from treadle.training.task import Settled
from treadle.training.tasks.regression import Regression

#: The share of rows whose quantiles may fall instead of rise before they are taken to be in another order.
_FALLING = 0.5


@dataclass(frozen=True, kw_only=True)
class Quantiles(Settled):
    """Estimate several quantiles of a number, as its median and the interval that holds it four times out of five.

    A training function returns one estimator for each level, as a list in the order of the levels, or one whose
    `predict` gives them all, of shape (rows, levels). Quantiles that cross are put in order, which never takes them
    further from the truth (Chernozhukov and others, "Quantile and probability curves without crossing", 2010).

    >>> [field.name for field in Quantiles(levels=[0.05, 0.5, 0.95]).outputs]
    ['prediction', 'quantiles']
    """

    levels: Sequence[float] = (0.1, 0.5, 0.9)

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.levels
        whole = isinstance(given, Sequence) and all(isinstance(level, float) for level in given)
        if not whole or not self.levels or not all(0 < level < 1 for level in self.levels):
            msg = f"Quantiles(levels={given!r}): expected numbers between 0 and 1, as [0.1, 0.5, 0.9]."
            raise InvalidDeclaration(msg, field="levels")
        if any(low >= high for low, high in zip(self.levels, self.levels[1:], strict=False)):
            msg = f"Quantiles(levels={given!r}): expected levels that rise, as [0.1, 0.5, 0.9]."
            raise InvalidDeclaration(msg, field="levels")
        object.__setattr__(self, "levels", tuple(self.levels))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "quantiles"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "pinball"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("pinball", "coverage", "coverage_error", "interval_width")

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer: the quantile nearest to the median, and all of them."""
        columns = tuple(f"{level:g}" for level in self.levels)
        middle = min(range(len(columns)), key=lambda place: abs(self.levels[place] - 0.5))
        return (
            Field(name="prediction", kind="float", column=columns[middle]),
            Field(name="quantiles", kind="float", columns=columns, rising=True),
        )

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "levels": list(self.levels)}

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as float64 of shape (rows,).

        Raises:
            InvalidInput: it is not a number, or a value is missing, NaN or infinite.
        """
        return Regression().target(target)

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Accept any numbers: also a constant can be learnt."""

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the quantiles, in order: float64 of shape (rows, levels).

        Asks `predict` of one estimator or of one for each level, or calls a plain function.

        Raises:
            RunFailed: it cannot be asked, there is not one for each level, an answer is no number, or most rows fall.
        """
        found, source = self._asked(estimator, frame)
        falls = (np.diff(found, axis=1) < 0).any(axis=1)
        if falls.sum() > _FALLING * max(1, frame.height):
            row, levels = int(falls.argmax()), ", ".join(f"{level:g}" for level in self.levels)
            msg = (
                f"{source} returned {found[row].tolist()} for row {row}, and quantiles that fall for {int(falls.sum())} of "
                f"{frame.height} rows. Expected them in the order of the levels: {levels}."
            )
            raise RunFailed(msg)
        return np.sort(found, axis=1)

    def _asked(self, estimator: Any, frame: pl.DataFrame) -> tuple[np.ndarray, str]:
        if isinstance(estimator, list | tuple):
            if len(estimator) != len(self.levels):
                msg = (
                    f"The training function returned {len(estimator)} estimators for {len(self.levels)} levels. Expected "
                    "one for each, in the order of the levels."
                )
                raise RunFailed(msg)
            parts = [Regression().predictions(one, frame) for one in estimator]
            return np.column_stack(parts), "The list of estimators"
        if len(self.levels) == 1:
            return Regression().predictions(estimator, frame)[:, None], "The estimator"
        values, source = answers_of(
            estimator, frame, method="predict", hint="Or a list with one for each level."
        )
        columns = self.outputs[-1].columns
        return checked_columns(values, rows=frame.height, columns=columns, source=source), source
