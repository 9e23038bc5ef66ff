"""What every kind of question (a task plug-in) must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from treadle.core.signature import Field


class Task(Protocol):
    """A kind of question: what a target may hold, and how a fitted estimator answers."""

    @property
    def name(self) -> str:
        """The plug-in's name, as stored with model versions."""
        ...

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        ...

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as numbers of shape (rows,).

        Raises:
            InvalidInput: it holds something that this question cannot have as its answer.
        """
        ...

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Refuse encoded training targets from which nothing can be learnt.

        Raises:
            InvalidInput: there is nothing to tell apart.
        """
        ...

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Ask a fitted estimator, or a plain function of the frame: float64 of shape (rows,), all finite.

        Raises:
            RunFailed: it cannot be asked, or its answer is no answer; the message names the first bad row.
        """
        ...
