"""Clustering: which rows belong together? Answers are the numbers of clusters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput, RunFailed
from treadle.core.signature import Field
from treadle.training.answers import answers_of, checked
from treadle.training.task import Untold, standardised


@dataclass(frozen=True, kw_only=True)
class Clustering(Untold):
    """Find groups of rows that are alike, with a target that says what groups there are, or without one.

    Asks `predict`, as `KMeans` and `GaussianMixture` have it; a function gives the number of each row's cluster.

    Without a target `simplified_silhouette` decides: how much nearer rows are to their own cluster than to the next, in the inputs that
    are numbers, each in its standard deviations. Only models of the same inputs are compared then. With a target,
    texts or whole numbers, `v_measure` decides.

    >>> Clustering().metric, Clustering().on("species").metric
    ('simplified_silhouette', 'v_measure')
    """

    #: Whether a target says what groups there are; what `@td.model` declares.
    told: bool = False

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "clustering"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return self.metrics[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("v_measure",) if self.told else ("simplified_silhouette",)

    @property
    def of_inputs(self) -> bool:
        """Whether answers are measured by the inputs: without a target."""
        return not self.told

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The column of an answer: the number of the cluster."""
        return (Field(name="prediction", kind="integer", method="predict"),)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "told": self.told}

    def on(self, target: str) -> Self:
        """Return the question with a target, or without one."""
        return replace(self, told=bool(target))

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as int64 of shape (rows,): groups numbered in their order.

        Raises:
            InvalidInput: a group is missing, or is neither text nor a whole number.
        """
        is_text = target.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)
        if target.null_count() or not (is_text or target.dtype.is_integer() or not target.name):
            msg = f"The target {target.name!r} is {target.dtype}, with {target.null_count()} nulls. Expected texts or whole numbers, never missing."
            raise InvalidInput(msg, field=target.name)
        return (target.cast(pl.String).rank("dense").cast(pl.Int64) - 1).to_numpy()

    def truth(self, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:
        """Return what metrics compare with: the known groups, or without a target the inputs in standard deviations."""
        return self.target(rows[target]) if target else standardised(rows, inputs)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the cluster of each row: whole numbers as float64 of shape (rows,).

        Raises:
            RunFailed: it cannot be asked, or its answer is no whole number; the message names the first bad row.
        """
        only = (
            "It has fit_predict only, which knows no new rows." if hasattr(estimator, "fit_predict") else ""
        )
        values, source = answers_of(estimator, frame, method="predict", hint=only)
        found = checked(values, rows=frame.height, source=source)
        if (found != np.floor(found)).any():
            row = int((found != np.floor(found)).argmax())
            msg = f"{source} returned {found[row]} for row {row}. Expected the number of a cluster."
            raise RunFailed(msg)
        return found
