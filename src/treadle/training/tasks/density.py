"""Density estimation: how likely are such inputs? Answers are log densities; there is no target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, RunFailed
from treadle.core.signature import Field
from treadle.core.stretch import log_stretch
from treadle.training.answers import checked, not_an_estimator
from treadle.training.task import Untold


@dataclass(frozen=True, kw_only=True)
class Density(Untold):
    """Estimate the log density of the inputs, in nats; a model without a target.

    Asks `score_samples`, as `KernelDensity` and `GaussianMixture` have it. What scales the inputs before, in a pipeline,
    is allowed for: answers are densities of the inputs in their own units. A function gives log densities itself.

    Only models of the same inputs can be compared: others answer about another space.

    >>> Density().outputs[0].method
    'score_samples'
    """

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "density"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "negative_log_likelihood"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("negative_log_likelihood",)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The column of an answer: the log density."""
        return (Field(name="prediction", kind="float", method="score_samples", turned="stretched"),)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name}

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the log densities: float64 of shape (rows,).

        Raises:
            RunFailed: it cannot be asked, a step before it bends space, or its answer is no number; the message names the
                first bad row.
        """
        method = getattr(estimator, "score_samples", None)
        if isinstance(estimator, type) or not (callable(method) or callable(estimator)):
            raise not_an_estimator(estimator, method="score_samples")
        if not callable(method):
            name = getattr(estimator, "__name__", type(estimator).__name__)
            return checked(estimator(frame), rows=frame.height, source=f"The function {name}")
        try:
            stretch = log_stretch(estimator)
        except InvalidInput as error:
            raise RunFailed(str(error)) from error
        source = f"{type(estimator).__name__}.score_samples"
        values = np.asarray(method(frame), dtype=np.float64) if frame.height else np.empty(0)
        return checked(values + stretch, rows=frame.height, source=source)
