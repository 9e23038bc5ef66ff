"""What every kind of question (a task plug-in) must be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import polars as pl

if TYPE_CHECKING:
    import numpy as np

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
        """The columns of an answer; the last one holds the numbers that `predictions` gives."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...

    def fitted(self, target: pl.Series) -> Task:
        """Return the question with what it has to know of the training rows, as the classes that there are.

        Raises:
            InvalidInput: the target cannot be asked about.
        """
        ...

    def knows(self, target: pl.Series) -> pl.Series:
        """Return, for each row, whether a fitted question can have this truth as its answer."""
        ...

    def over(self, columns: Sequence[Sequence[str]], target: pl.Series) -> Task:
        """Return the question that is wide enough for contenders with these columns, and for these rows' truth."""
        ...

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as numbers of shape (rows,), or (rows, columns) where a truth is several numbers.

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
        """Ask a fitted estimator, or a plain function of the frame: float64, all finite.

        The shape is (rows,), or (rows, columns) where the last of the outputs names columns.

        Raises:
            RunFailed: it cannot be asked, or its answer is no answer; the message names the first bad row.
        """
        ...


class Settled:
    """The part of a task whose outputs are settled by its declaration, whatever the training rows are."""

    def fitted(self, target: pl.Series) -> Self:  # noqa: ARG002 - the protocol's
        """Return the question as it is."""
        return self

    def knows(self, target: pl.Series) -> pl.Series:
        """Say yes to every row."""
        return pl.repeat(value=True, n=len(target), dtype=pl.Boolean, eager=True)

    def over(self, columns: Sequence[Sequence[str]], target: pl.Series) -> Self:  # noqa: ARG002 - the protocol's
        """Return the question as it is."""
        return self
