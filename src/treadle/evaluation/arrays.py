"""Outcomes and predictions as checked arrays, and the means that metrics are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput

Floats = npt.NDArray[np.float64]
#: How far the probabilities of all classes may add up to something else than 1.
_SUM = 1e-2


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


def estimates(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return outcomes and predictions as float64 of one shape: (rows,), or (rows, columns) where a truth is several numbers.

    Raises:
        InvalidInput: there are no rows, the shapes differ, or a value is no finite number.
    """
    if np.ndim(y) != 2:
        return numbers(y, p)
    outcomes, predictions = table(y, what="outcomes"), table(p, what="predictions")
    if outcomes.shape != predictions.shape or not outcomes.size:
        msg = (
            f"There are predictions of shape {predictions.shape} for outcomes of shape {outcomes.shape}. Expected one shape, "
            "and at least one row."
        )
        raise InvalidInput(msg)
    return outcomes, predictions


def across(values: Floats) -> Floats:
    """Return the mean over what a row has several of, of shape (rows,); values of shape (rows,) as they are."""
    return values if values.ndim == 1 else np.asarray(values.mean(axis=1))


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


def flags(y: npt.ArrayLike, p: npt.ArrayLike, *, scores: bool) -> tuple[Floats, Floats]:
    """Return outcomes, 0 or 1, and what ranks rows: probabilities of 1, or with `scores` any finite numbers.

    Raises:
        InvalidInput: as `numbers`, or an outcome is neither 0 nor 1, or a probability is not within 0 to 1.
    """
    if not scores:
        return binary(y, p)
    outcomes, given = numbers(y, p)
    binary(outcomes, np.zeros(len(given)))
    return outcomes, given


def classes(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the place of each row's class, int64 of shape (rows,), and probabilities of shape (rows, classes).

    Raises:
        InvalidInput: there are no rows, the lengths differ, a class has no column, or a row is no distribution.
    """
    outcomes, shares = vector(y, what="outcomes"), table(p, what="predictions")
    if len(outcomes) != len(shares) or not len(outcomes) or shares.shape[1] < 2:
        msg = (
            f"There are predictions of shape {shares.shape} for {len(outcomes):,} outcomes. Expected at least one row, and "
            "a probability for each of at least two classes."
        )
        raise InvalidInput(msg)
    wrong = (outcomes != np.floor(outcomes)) | (outcomes < 0) | (outcomes >= shares.shape[1])
    if wrong.any():
        row = int(np.argmax(wrong))
        msg = f"The outcome in row {row} is {outcomes[row]:g}. Expected the number of a class, 0 to {shares.shape[1] - 1}."
        raise InvalidInput(msg)
    outside = (shares < 0).any(axis=1) | (np.abs(shares.sum(axis=1) - 1) > _SUM)
    if outside.any():
        row = int(np.argmax(outside))
        msg = (
            f"The prediction in row {row} adds up to {shares[row].sum():.4g}. Expected a probability for each class, adding "
            "up to 1."
        )
        raise InvalidInput(msg)
    return outcomes.astype(np.int64), shares


def labels(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return whether each label holds, 0 or 1, and its probability, both float64 of shape (rows, labels).

    Raises:
        InvalidInput: as `estimates`, or there is one number a row, an outcome is neither 0 nor 1, or a probability is not
            within 0 to 1.
    """
    outcomes, chances = estimates(table(y, what="outcomes"), p)
    wrong = ((outcomes != 0) & (outcomes != 1)).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        msg = f"The outcomes in row {row} are {outcomes[row].tolist()}. Expected 0 or 1 for each label."
        raise InvalidInput(msg)
    outside = ((chances < 0) | (chances > 1)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        msg = f"The predictions in row {row} are {chances[row].tolist()}. Expected probabilities, 0 to 1."
        raise InvalidInput(msg)
    return outcomes, chances


def quantiles(y: npt.ArrayLike, p: npt.ArrayLike, columns: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Return outcomes of shape (rows,), quantiles of shape (rows, levels), and the levels that name the columns.

    Raises:
        InvalidInput: there are no rows, or there is not a quantile of each level for each row.
    """
    outcomes, estimates = vector(y, what="outcomes"), table(p, what="predictions")
    if estimates.shape != (len(outcomes), len(columns)) or not len(outcomes):
        msg = (
            f"There are predictions of shape {estimates.shape} for {len(outcomes):,} outcomes. Expected at least one row, "
            f"and a quantile of each of the levels {', '.join(columns) or '(none are known)'}."
        )
        raise InvalidInput(msg)
    return outcomes, estimates, np.array([float(column) for column in columns])


def starts_of(ranked: Floats) -> npt.NDArray[np.int64]:
    """Return where each run of equal values starts, in values that are in order and at least one.

    >>> starts_of(np.array([0.1, 0.3, 0.3, 0.4])).tolist()
    [0, 1, 3]
    """
    return np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))


def one_hot(places: npt.NDArray[np.int64], *, width: int) -> Floats:
    """Return 1 in the column of each row's place, else 0: float64 of shape (rows, width)."""
    found = np.zeros((len(places), width))
    found[np.arange(len(places)), places] = 1.0
    return found


def truths(values: npt.ArrayLike, *, what: str, field: str | None = None) -> Floats:
    """Return values as float64 of shape (rows,), or (rows, columns) where they are several for each row.

    Raises:
        InvalidInput: as `vector` and `table`.
    """
    return (table if np.ndim(values) == 2 else vector)(values, what=what, field=field)


def table(values: npt.ArrayLike, *, what: str, field: str | None = None) -> Floats:
    """Return values as float64 of shape (rows, columns); `what`, and `field`, name them in errors.

    Raises:
        InvalidInput: they have another shape, are no numbers, or one is NaN or infinite.
    """
    array = _floats(values, what=what, field=field)
    if array.ndim != 2:
        msg = f"The {what} have the shape {array.shape}. Expected several numbers for each row: (rows, columns)."
        raise InvalidInput(msg, field=field)
    _must_be_finite(array, what=what, field=field)
    return array


def vector(values: npt.ArrayLike, *, what: str, field: str | None = None) -> Floats:
    """Return values as float64 of shape (rows,); `what`, and `field`, name them in errors.

    Raises:
        InvalidInput: they have another shape, are no numbers, or one is NaN or infinite.
    """
    array = _floats(values, what=what, field=field)
    if array.ndim != 1:
        msg = f"The {what} have the shape {array.shape}. Expected one number for each row: (rows,)."
        raise InvalidInput(msg, field=field)
    _must_be_finite(array, what=what, field=field)
    return array


def _floats(values: npt.ArrayLike, *, what: str, field: str | None) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"The {what} are not numbers: {error}"
        raise InvalidInput(msg, field=field) from error


def _must_be_finite(array: Floats, *, what: str, field: str | None) -> None:
    wrong = ~np.isfinite(array)
    rows = wrong if array.ndim == 1 else wrong.any(axis=1)
    if rows.any():
        row, more = int(np.argmax(rows)), int(rows.sum()) - 1
        others = f", and {more:,} more are not finite" if more else ""
        msg = f"The {what} hold {array[wrong][0]} in row {row}{others}. Expected finite numbers."
        raise InvalidInput(msg, field=field)


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


def mean_of_defined(values: Floats) -> Floats:
    """Return the mean over the last axis of what is no NaN; NaN where nothing is.

    >>> mean_of_defined(np.array([[1.0, np.nan, 3.0]])).tolist()
    [2.0]
    """
    defined = np.isfinite(values)
    return ratio(
        np.where(defined, values, 0.0).sum(axis=-1), np.asarray(defined.sum(axis=-1), dtype=np.float64)
    )
