"""What every kind of question (a task plug-in) must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput

if TYPE_CHECKING:
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

    @property
    def ties(self) -> tuple[str, ...]:
        """The columns whose values tie rows together, as the query of a ranking; none: rows are independent."""
        ...

    def truth(self, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:
        """Return what metrics compare answers with: the target as numbers, or what rows hold besides, as `inputs`.

        Raises:
            InvalidInput: as `target`, or a column is missing.
        """
        ...

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Refuse encoded training targets from which nothing can be learnt.

        Raises:
            InvalidInput: there is nothing to tell apart.
        """
        ...

    @property
    def of_inputs(self) -> bool:
        """Whether answers are about the inputs themselves, so that only models of the same inputs can be compared."""
        ...

    def on(self, target: str) -> Task:
        """Return the question with the target that is declared for it; empty: none is.

        Raises:
            InvalidDeclaration: it needs a target, or can have none.
        """
        ...

    def settled(self, answers: Callable[[], np.ndarray]) -> Task:
        """Return the question with what it has to know of a fitted estimator's answers, as the bound above which is yes.

        `answers` gives those for rows that the estimator was not fitted to, or, where these are few, that it was.
        """
        ...

    def packaged(self, estimator: Any) -> Any:
        """Return what answers by itself, as it is kept in a package: the estimator, unless it is asked by a function."""
        ...

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Ask a fitted estimator, or a plain function of the frame: float64, all finite.

        The shape is (rows,), or (rows, columns) where the last of the outputs names columns.

        Raises:
            RunFailed: it cannot be asked, or its answer is no answer; the message names the first bad row.
        """
        ...


class Packaged:
    """The part of a task whose fitted estimators answer by themselves, and whose truth is its target."""

    @property
    def ties(self) -> tuple[str, ...]:
        """Say that no column's values tie rows together."""
        return ()

    def truth(self: Task, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:  # noqa: ARG002
        """Return the target as numbers."""
        return self.target(rows[target])

    @property
    def of_inputs(self) -> bool:
        """Say no: answers are about a target."""
        return False

    def on(self, target: str) -> Self:
        """Return the question as it is; it needs a target.

        Raises:
            InvalidDeclaration: there is none.
        """
        if not target:
            name = type(self).__name__
            msg = f"td.{name} needs the column of the truth: target='late'. Without one there are td.Density and td.Anomaly."
            raise InvalidDeclaration(msg, field="target")
        return self

    def settled(self, answers: Callable[[], np.ndarray]) -> Self:  # noqa: ARG002 - the protocol's
        """Return the question as it is."""
        return self

    def packaged(self, estimator: Any) -> Any:
        """Return the estimator as it is."""
        return estimator


class Settled(Packaged):
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


class Untold(Settled):
    """The part of a task whose rows have no target: what is compared are answers about the inputs."""

    @property
    def of_inputs(self) -> bool:
        """Say yes: without a target, answers are about the inputs."""
        return True

    def on(self, target: str) -> Self:
        """Return the question as it is; it has no target.

        Raises:
            InvalidDeclaration: there is one.
        """
        if target:
            name = type(self).__name__
            msg = f"td.{name} has no target, and target={target!r} is declared. Leave it out; it is no input unless it is named as one."
            raise InvalidDeclaration(msg, field="target")
        return self

    def target(self, target: pl.Series) -> np.ndarray:
        """Return what stands for the outcomes that there are not: zeros, float64 of shape (rows,).

        Raises:
            InvalidInput: there are values, and some are missing or are no numbers.
        """
        if not target.dtype.is_numeric() or target.null_count():
            msg = f"The column {target.name!r} cannot stand for outcomes: it is {target.dtype}, with {target.null_count()} nulls."
            raise InvalidInput(msg, field=target.name)
        return np.zeros(len(target))

    def truth(self, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:  # noqa: ARG002 - the protocol's
        """Return what stands for the outcomes that there are not."""
        return np.zeros(rows.height)

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Accept any rows."""


def column_of(rows: pl.DataFrame, target: str) -> pl.Series:
    """Return the column of the target; without one, zeros that stand for it."""
    return rows[target] if target else pl.zeros(rows.height, dtype=pl.Float64, eager=True).alias("")


def standardised(rows: pl.DataFrame, inputs: Sequence[str]) -> np.ndarray:
    """Return the inputs that are numbers, each in its standard deviations from its mean: float64 of shape (rows, columns).

    A value that is missing counts as the mean, a column that does not vary as 0.

    Raises:
        InvalidInput: no input is a number.
    """
    held = [name for name in inputs if rows[name].dtype.is_numeric() or rows[name].dtype == pl.Boolean]
    if not held:
        msg = f"None of the inputs {', '.join(inputs) or '(there are none)'} is a number, so rows are not near or far from each other."
        raise InvalidInput(msg, field="inputs")
    values = rows.select(pl.col(held).cast(pl.Float64)).fill_null(float("nan")).to_numpy()
    values = np.where(np.isfinite(values), values, np.nan)
    if not len(values):
        return values
    known = np.maximum(np.isfinite(values).sum(axis=0), 1)
    away = np.nan_to_num(values - np.nansum(values, axis=0) / known)
    spread = np.sqrt((away**2).sum(axis=0) / known)
    return np.asarray(away / np.where(spread > 0, spread, 1.0))
