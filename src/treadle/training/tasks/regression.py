"""Regression: how much? Answers are numbers in the target's unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field
from treadle.training.answers import answers_of, checked
from treadle.training.task import Settled


@dataclass(frozen=True, kw_only=True)
class Regression(Settled):
    """Estimate a number.

    >>> Regression().target(pl.Series("minutes", [3, 14])).tolist()
    [3.0, 14.0]
    """

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "regression"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "rmse"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("rmse", "mae", "r2")

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The column of an answer: the estimate."""
        return (Field(name="prediction", kind="float"),)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name}

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as float64 of shape (rows,).

        Raises:
            InvalidInput: it is not a number, or a value is missing, NaN or infinite.
        """
        if not target.dtype.is_numeric():
            hint = " Two classes are td.Classification()." if target.dtype in (pl.Boolean, pl.String) else ""
            msg = f"The target {target.name!r} is {target.dtype}. Expected numbers.{hint}"
            raise InvalidInput(msg, field=target.name)
        values = target.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        wrong = ~np.isfinite(values)
        if wrong.any():
            row = int(wrong.argmax())
            msg = f"The target {target.name!r} is {target[row]} in row {row}. Expected finite numbers, never missing."
            raise InvalidInput(msg, field=target.name)
        return values

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Accept any numbers: also a constant can be learnt."""

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the estimates: float64 of shape (rows,).

        Asks `predict`, or calls a plain function.

        Raises:
            RunFailed: it cannot be asked, or its answer is no number; the message names the first bad row.
        """
        values, source = answers_of(estimator, frame, method="predict")
        return checked(values, rows=frame.height, source=source)
