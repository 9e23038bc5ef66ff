"""Outcomes and predictions as checked arrays, and the means that metrics are made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput

Floats = npt.NDArray[np.float64]


def numbers(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return outcomes and predictions as float64 of shape (rows,).

    Raises:
        InvalidInput: there are no rows, the lengths differ, or a value is no finite number.
    """
    outcomes, predictions = vector(y, what="outcomes"), vector(p, what="predictions")
    if len(outcomes) != len(predictions):
        msg = f"There are {len(predictions):,} predictions for {len(outcomes):,} outcomes. Expected one for each."
        raise InvalidInput(msg)
    if not len(outcomes):
        msg = "There are no rows. A metric needs at least one."
        raise InvalidInput(msg)
    return outcomes, predictions


def binary(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return outcomes, 0 or 1, and probabilities of 1 as float64 of shape (rows,).

    Raises:
        InvalidInput: as `numbers`, or an outcome is neither 0 nor 1, or a probability is not within 0 to 1.
    """
    outcomes, chances = numbers(y, p)
    wrong = (outcomes != 0) & (outcomes != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        msg = f"The outcome in row {row} is {outcomes[row]:g}. Expected 0 or 1."
        raise InvalidInput(msg)
    outside = (chances < 0) | (chances > 1)
    if outside.any():
        row = int(np.argmax(outside))
        msg = f"The prediction in row {row} is {chances[row]:g}. Expected a probability, 0 to 1."
        raise InvalidInput(msg)
    return outcomes, chances


def vector(values: npt.ArrayLike, *, what: str, field: str | None = None) -> Floats:
    """Return values as float64 of shape (rows,); `what`, and `field`, name them in errors.

    Raises:
        InvalidInput: they have another shape, are no numbers, or one is NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"The {what} are not numbers: {error}"
        raise InvalidInput(msg, field=field) from error
    if array.ndim != 1:
        msg = f"The {what} have the shape {array.shape}. Expected one number for each row: (rows,)."
        raise InvalidInput(msg, field=field)
    bad = ~np.isfinite(array)
    if bad.any():
        row, more = int(np.argmax(bad)), int(bad.sum()) - 1
        others = f", and {more:,} more are not finite" if more else ""
        msg = f"The {what} hold {array[row]} in row {row}{others}. Expected finite numbers."
        raise InvalidInput(msg, field=field)
    return array


def weights(weight: npt.ArrayLike | None, *, rows: int) -> Floats:
    """Return the weight of each row as float64 of shape (rows,); None: each counts once.

    Raises:
        InvalidInput: another number of weights, one is negative, or all are 0.
    """
    if weight is None:
        return np.ones(rows)
    array = vector(weight, what="weights")
    if len(array) != rows or (array < 0).any() or not array.any():
        msg = f"Expected {rows:,} weights, none negative and not all 0; got {len(array):,} of {array.min(initial=0):g} and more."
        raise InvalidInput(msg)
    return array


def mean(terms: Floats, weight: npt.ArrayLike | None = None) -> Floats:
    """Return the weighted mean over rows of terms of shape (rows,) or (rows, terms)."""
    if weight is None:
        return np.asarray(terms.mean(axis=0))
    given = weights(weight, rows=len(terms))
    return np.asarray(given @ terms / given.sum())


def ratio(above: Floats, below: Floats) -> Floats:
    """Return `above / below`; NaN where `below` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)
