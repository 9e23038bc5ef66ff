"""Ranking: which of the rows of a query come first? Answers are scores; the higher, the earlier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.core.signature import Field
from treadle.training.task import Settled
from treadle.training.tasks.regression import Regression


@dataclass(frozen=True, kw_only=True)
class Ranking(Settled):
    """Rank the rows of each query by a score.

    `by` is the column, or the columns, that say which query a row is of. The target is how relevant a row is to its
    query: a number, 0 or more, as grades from 0 to 4. Metrics are means over queries; ndcg looks at the first `cut` rows of each.

    Rows of a query have to be in one part of the split: `split=td.HashSplit(..., group="query_id")`.

    >>> Ranking(by="search", cut=5).target(pl.Series("grade", [3, 0])).tolist()
    [3.0, 0.0]

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    by: str | Sequence[str] = "query_id"
    cut: int = 10

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.by
        names = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
        if (
            not names
            or not all(isinstance(name, str) and name for name in names)
            or len(set(names)) < len(names)
        ):
            msg = f"Ranking(by={given!r}): expected the column that says of which query a row is, or several."
            raise InvalidDeclaration(msg, field="by")
        cut: object = self.cut
        if not isinstance(cut, int) or isinstance(cut, bool) or cut < 1:
            msg = f"Ranking(cut={cut!r}): expected how many rows of a query count, 1 or more."
            raise InvalidDeclaration(msg, field="cut")
        object.__setattr__(self, "by", tuple(names))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "ranking"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "ndcg"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("ndcg", "mrr", "map")

    @property
    def options(self) -> dict[str, int]:
        """What metrics have to know of the declaration."""
        return {"cut": self.cut}

    @property
    def ties(self) -> tuple[str, ...]:
        """The columns whose values tie rows together: those of one query."""
        return tuple(self.by)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The column of an answer: the score."""
        return (Field(name="prediction", kind="float"),)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "by": list(self.by), "cut": self.cut}

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as float64 of shape (rows,).

        Raises:
            InvalidInput: it is not a number, or a value is missing, negative or infinite.
        """
        found = Regression().target(target)
        if (found < 0).any():
            row = int((found < 0).argmax())
            msg = f"The target {target.name!r} is {target[row]} in row {row}. Expected how relevant a row is: 0 or more."
            raise InvalidInput(msg, field=target.name)
        return found

    def truth(self, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:  # noqa: ARG002
        """Return what metrics compare with, float64 of shape (rows, 2): the relevance, and the number of the row's query.

        Raises:
            InvalidInput: there is no such column, or as `target`.
        """
        return np.column_stack([self.target(rows[target]), self.queries(rows)])

    def queries(self, rows: pl.DataFrame) -> np.ndarray:
        """Return the number of each row's query, int64 of shape (rows,): 0, 1, 2, … in the order of their names.

        Raises:
            InvalidInput: there is no such column, or a row has no query.
        """
        for column in self.by:
            if column not in rows.columns:
                msg = f"There is no column {column!r} that says of which query a row is. {closest(column, rows.columns)}"
                raise InvalidInput(msg, field=column)
            if rows[column].null_count():
                row = int(rows[column].is_null().arg_true()[0])
                msg = f"The column {column!r} has no value in row {row}. Expected a query for each row."
                raise InvalidInput(msg, field=column)
        ranks = rows.select(pl.struct(*self.by).rank("dense")).to_series().cast(pl.Int64) - 1
        return ranks.to_numpy()

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Refuse training targets that are all the same.

        Raises:
            InvalidInput: no row is more relevant than another.
        """
        if len(y) and y.min() == y.max():
            msg = (
                f"The target {target!r} is {y[0]:g} in all {len(y)} training rows. Expected rows that are more relevant than "
                "others: take a longer window, or wait for more outcomes."
            )
            raise InvalidInput(msg, field=target)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the scores: float64 of shape (rows,).

        Asks `predict`, or calls a plain function.

        Raises:
            RunFailed: it cannot be asked, or its answer is no number; the message names the first bad row.
        """
        return Regression().predictions(estimator, frame)
