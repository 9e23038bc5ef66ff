"""Answers that hold the truth as often as they say: split conformal prediction, for each group by itself if wanted.

On rows that the model was not trained on, it is seen how far the truth is from the answer. A new row's set or interval
goes as far as a share of 1 - alpha of them, counted with one row more; if old and new rows come in no particular
order, it holds the truth with a chance of at least 1 - alpha (Vovk and others, 2005; Lei and others, 2018). With `by`,
that is so within each group (Mondrian), at the price of wider answers where a group has few rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats, vector
from treadle.evaluation.quantiles import wilson

Groups = npt.NDArray[np.generic] | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ConformalIntervals:
    """Intervals round estimates; fit them to validation rows.

    Predictions are of shape (rows,), or (rows, 2): the lower and the upper quantile of a model that estimates quantiles,
    which are then moved out or in (Romano and others, 2019).

    >>> y = np.arange(100.0)
    >>> fitted = ConformalIntervals.fit(y, y + np.tile([-1.0, 1.0], 50), alpha=0.1)
    >>> [end.tolist() for end in fitted.predict(np.array([5.0]))]
    [[4.0], [6.0]]
    """

    alpha: float
    #: How far to go for all rows, and for each group; infinite where too few rows were seen.
    width: float
    widths: Mapping[str, float]

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike, *, alpha: float = 0.1, by: Groups = None) -> Self:
        """Return intervals for a coverage of 1 - alpha; `by` is the group of each row.

        Raises:
            InvalidInput: alpha is no share, or outcomes, predictions and groups are not one for each row.
        """
        outcomes = vector(y, what="outcomes")
        low, high = _two_sides(p, rows=len(outcomes))
        scores = np.maximum(low - outcomes, outcomes - high)
        width, widths = _fitted(scores, alpha=alpha, by=by)
        return cls(alpha=alpha, width=width, widths=widths)

    def predict(self, p: npt.ArrayLike, *, by: Groups = None) -> tuple[Floats, Floats]:
        """Return the lower and the upper ends; a group that was not seen gets the width of all rows."""
        low, high = _two_sides(p, rows=len(np.asarray(p)))
        wide = _of_groups(self.width, self.widths, rows=len(low), by=by)
        return low - wide, high + wide

    def measured(
        self, y: npt.ArrayLike, p: npt.ArrayLike, *, by: Groups = None, alpha: float = 0.05
    ) -> pl.DataFrame:
        """Return the coverage on test rows, of all and of each group: `group`, `rows`, `coverage`, its ends, `width`."""
        outcomes = vector(y, what="outcomes")
        low, high = self.predict(p, by=by)
        held = (outcomes >= low) & (outcomes <= high)
        return _coverage(held, high - low, by=by, alpha=alpha, size="width")


@dataclass(frozen=True, eq=False, kw_only=True)
class ConformalSets:
    """Sets of classes; fit them to validation rows.

    Probabilities are of shape (rows, classes), or (rows,): of class 1 of the two classes 0 and 1.

    >>> y, p = np.tile([0, 1], 50), np.tile([0.2, 0.9], 50)
    >>> ConformalSets.fit(y, p, alpha=0.2).predict(np.array([0.9, 0.5])).tolist()
    [[False, True], [False, False]]
    """

    alpha: float
    #: A class is in the set if its improbability is at most this; of all rows, and of each group.
    reach: float
    reaches: Mapping[str, float]

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike, *, alpha: float = 0.1, by: Groups = None) -> Self:
        """Return sets for a coverage of 1 - alpha; `by` is the group of each row.

        Raises:
            InvalidInput: alpha is no share, or outcomes, probabilities and groups are not one for each row.
        """
        places, shares = _classes(y, p)
        scores = 1 - shares[np.arange(len(places)), places]
        reach, reaches = _fitted(scores, alpha=alpha, by=by)
        return cls(alpha=alpha, reach=reach, reaches=reaches)

    def predict(self, p: npt.ArrayLike, *, by: Groups = None) -> npt.NDArray[np.bool_]:
        """Return which classes are in each row's set: shape (rows, classes). None may be: nothing is like this row."""
        shares = _shares(p)
        reach = _of_groups(self.reach, self.reaches, rows=len(shares), by=by)
        return np.asarray(1 - shares <= reach[:, None] + 1e-12)

    def measured(
        self, y: npt.ArrayLike, p: npt.ArrayLike, *, by: Groups = None, alpha: float = 0.05
    ) -> pl.DataFrame:
        """Return the coverage on test rows, of all and of each group: `group`, `rows`, `coverage`, its ends, `size`."""
        places, _ = _classes(y, p)
        sets = self.predict(p, by=by)
        held = sets[np.arange(len(places)), places]
        return _coverage(held, sets.sum(axis=1).astype(np.float64), by=by, alpha=alpha, size="size")


def _fitted(scores: Floats, *, alpha: float, by: Groups) -> tuple[float, dict[str, float]]:
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha!r}. Expected more than 0 and less than 1, as 0.1 for a coverage of 90 %."
        raise InvalidInput(msg, field="alpha")
    names = _names(by, rows=len(scores))
    groups = (
        {}
        if names is None
        else {str(name): _reach(scores[names == name], alpha) for name in np.unique(names)}
    )
    return _reach(scores, alpha), groups


def _reach(scores: Floats, alpha: float) -> float:
    """Return the score that a share of 1 - alpha does not exceed, counting one row more, which has any score."""
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)
    return math.inf if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])


def _of_groups(reach: float, reaches: Mapping[str, float], *, rows: int, by: Groups) -> Floats:
    names = _names(by, rows=rows)
    if names is None:
        return np.full(rows, reach)
    known, places = np.unique(names, return_inverse=True)
    return np.array([reaches.get(str(name), reach) for name in known])[places]


def _coverage(
    held: npt.NDArray[np.bool_], sizes: Floats, *, by: Groups, alpha: float, size: str
) -> pl.DataFrame:
    names = _names(by, rows=len(held))
    parts = {"": np.ones(len(held), dtype=bool)}
    if names is not None:
        parts |= {str(name): names == name for name in np.unique(names)}
    rows = []
    for name, inside in parts.items():
        n, hits = int(inside.sum()), int(held[inside].sum())
        low, high = wilson(hits, n, alpha=alpha)
        rows.append(
            {
                "group": name,
                "rows": n,
                "coverage": hits / n,
                "low": low,
                "high": high,
                size: float(sizes[inside].mean()),
            }
        )
    return pl.DataFrame(rows)


def _names(by: Groups, *, rows: int) -> npt.NDArray[np.str_] | None:
    if by is None:
        return None
    if len(by) != rows:
        msg = f"There are {len(by):,} groups for {rows:,} rows. Expected the group of each row."
        raise InvalidInput(msg, field="by")
    return np.asarray(by).astype(str)


def _two_sides(p: npt.ArrayLike, *, rows: int) -> tuple[Floats, Floats]:
    given = np.asarray(p, dtype=np.float64)
    if len(given) != rows or given.ndim > 2 or (given.ndim == 2 and given.shape[1] != 2) or not rows:
        msg = f"The predictions have the shape {given.shape} for {rows:,} rows. Expected (rows,) or (rows, 2), and a row."
        raise InvalidInput(msg, field="predictions")
    return (given, given) if given.ndim == 1 else (given[:, 0], given[:, 1])


def _shares(p: npt.ArrayLike) -> Floats:
    given = np.asarray(p, dtype=np.float64)
    return np.column_stack([1 - given, given]) if given.ndim == 1 else given


def _classes(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Floats]:
    outcomes, shares = vector(y, what="outcomes"), _shares(p)
    if len(outcomes) != len(shares) or not len(outcomes):
        msg = f"There are {len(shares):,} predictions for {len(outcomes):,} outcomes. Expected one for each, and a row."
        raise InvalidInput(msg, field="predictions")
    wrong = (outcomes != np.floor(outcomes)) | (outcomes < 0) | (outcomes >= shares.shape[1])
    if wrong.any():
        row = int(np.argmax(wrong))
        msg = f"The outcome in row {row} is {outcomes[row]:g}. Expected the number of a class, 0 to {shares.shape[1] - 1}."
        raise InvalidInput(msg, field="y")
    return outcomes.astype(np.int64), shares
