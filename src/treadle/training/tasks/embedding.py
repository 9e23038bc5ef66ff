"""Embedding and dimensionality reduction: rows as a few numbers. Answers are vectors; there is no target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration
from treadle.core.signature import Field
from treadle.training.answers import answers_of, checked_columns
from treadle.training.task import Untold, standardised


@dataclass(frozen=True, kw_only=True)
class Embedding(Untold):
    """Describe rows by `size` numbers; a model without a target.

    Asks `transform`, as `PCA` and `TruncatedSVD` have it; a function gives an array of shape (rows, size).

    `unexplained` decides: the share of the variance of the inputs that are numbers, each in its standard deviations,
    that no linear function of the vectors tells. Only models of the same inputs are compared.

    >>> Embedding(size=3).outputs[0].columns
    ('1', '2', '3')

    Raises:
        InvalidDeclaration: the size is no whole number of 1 or more.
    """

    size: int = 2

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.size
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:
            msg = f"Embedding(size={given!r}): expected how many numbers describe a row, 1 or more."
            raise InvalidDeclaration(msg, field="size")

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "embedding"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "unexplained"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("unexplained",)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The column of an answer: the vector."""
        columns = tuple(str(place + 1) for place in range(self.size))
        return (Field(name="prediction", kind="float", columns=columns, method="transform"),)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "size": self.size}

    def truth(self, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:  # noqa: ARG002
        """Return what metrics compare with: the inputs in standard deviations."""
        return standardised(rows, inputs)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the vectors: float64 of shape (rows, size).

        Raises:
            RunFailed: it cannot be asked, or its answer is not such numbers; the message names the first bad row.
        """
        only = (
            "It has fit_transform only, which knows no new rows."
            if hasattr(estimator, "fit_transform")
            else ""
        )
        columns = self.outputs[-1].columns
        if not frame.height and callable(getattr(estimator, "transform", None)):
            return np.empty((0, self.size))
        values, source = answers_of(estimator, frame, method="transform", hint=only)
        return checked_columns(values, rows=frame.height, columns=columns, source=source)
