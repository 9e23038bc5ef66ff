"""Unexplained: the share of the inputs' variance that no linear function of the embedding tells; less is better.

It is one less R² of the inputs on the embedding, fitted to the rows that are compared: as `sklearn.metrics.r2_score` of a
`LinearRegression` with `multioutput="variance_weighted"`. Of all embeddings of a size, principal components have the least. One
that bends space may keep more than a linear function can tell. NaN where the inputs do not vary.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats, table, weights

NAME = "unexplained"
TASK = "embedding"
GREATER_IS_BETTER = False
BOUNDS = (0.0, 1.0)


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric; outcomes are the inputs, predictions the embedding, both of shape (rows, columns).

    >>> round(value([[0.0, 0.0], [1.0, 1.0], [2.0, -1.0]], [[0.0], [1.0], [2.0]]), 3)
    0.375
    """
    rest, whole, share = _squares(y, p, weight)
    total = float(share @ whole)
    return float(share @ rest) / total if total > 0 else float("nan")


def prepare(y: npt.ArrayLike, p: npt.ArrayLike) -> Callable[[Floats], float]:
    """Return the metric as a function of the rows' weights."""
    rest, whole, _ = _squares(y, p, None)
    if float(whole.sum()) <= 0 or len(rest) < 2:
        return lambda _: float("nan")
    inputs, embedded = table(y, what="inputs"), table(p, what="predictions")
    inputs, embedded = inputs - inputs.mean(axis=0), embedded - embedded.mean(axis=0)
    squares = (inputs**2).sum(axis=1)

    def weighted(weight: Floats) -> float:
        share = weight / weight.sum()
        middle, centre = share @ inputs, share @ embedded
        held = embedded * share[:, None]
        crossed = held.T @ inputs - np.outer(centre, middle)
        slopes = np.linalg.lstsq(held.T @ embedded - np.outer(centre, centre), crossed, rcond=None)[0]
        total = float(share @ squares - middle @ middle)
        return (total - float((slopes * crossed).sum())) / total if total > 0 else float("nan")

    return weighted


def influence(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Floats:
    """Return how far each row moves the metric, of shape (rows,).

    The fit is the best there is, so that moving it a little changes nothing: only the row's own errors count.
    """
    rest, whole, share = _squares(y, p, weight)
    total = float(share @ whole)
    if total <= 0:
        return np.full(len(share), np.nan)
    return np.asarray((rest - float(share @ rest) / total * whole) / total)


def _squares(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return of each row the squared error of the fit, that of the mean, and its share of the weight."""
    inputs, embedded = table(y, what="inputs"), table(p, what="predictions")
    if len(inputs) != len(embedded) or not len(inputs):
        msg = f"There are {len(embedded):,} predictions for {len(inputs):,} rows. Expected one for each, and a row."
        raise InvalidInput(msg)
    given = weights(weight, rows=len(inputs))
    share = given / given.sum()
    away, terms = inputs - share @ inputs, embedded - share @ embedded
    root = np.sqrt(share)[:, None]
    slopes = np.linalg.lstsq(terms * root, away * root, rcond=None)[0]
    return ((away - terms @ slopes) ** 2).sum(axis=1), (away**2).sum(axis=1), share
