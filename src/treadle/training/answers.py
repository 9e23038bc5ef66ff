"""Refuses what a fitted estimator answers when it is no answer: not a number, or not one for each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import RunFailed

#: Rounding that a probability may carry beyond 0 and 1.
_ROUNDING = 1e-6
#: How far the probabilities of all classes may add up to something else than 1.
_SUM = 1e-3


def checked(values: Any, *, rows: int, source: str) -> np.ndarray:
    """Return answers as float64 of shape (rows,).

    Raises:
        RunFailed: the shape is another one, or a value is no finite number; the message names the first such row.
    """
    answers = _floats(values, rows=rows, source=source, each="one number")
    if answers.shape == (rows, 1):
        answers = answers[:, 0]
    if answers.shape != (rows,):
        msg = (
            f"{source} returned an array of shape {answers.shape} for {rows} rows. Expected shape ({rows},)."
        )
        raise RunFailed(msg)
    _must_be_finite(answers, source)
    return answers


def checked_columns(values: Any, *, rows: int, columns: Sequence[Any], source: str) -> np.ndarray:
    """Return answers as float64 of shape (rows, columns).

    Raises:
        RunFailed: as `checked`; the message names the first bad row.
    """
    answers = _floats(values, rows=rows, source=source, each=f"{len(columns)} numbers")
    if answers.shape != (rows, len(columns)):
        shown = ", ".join(map(str, columns[:5])) + (", …" if len(columns) > 5 else "")
        msg = (
            f"{source} returned an array of shape {answers.shape} for {rows} rows. Expected shape "
            f"({rows}, {len(columns)}): {shown}."
        )
        raise RunFailed(msg)
    _must_be_finite(answers, source)
    return answers


def checked_shares(values: Any, *, rows: int, columns: Sequence[Any], source: str) -> np.ndarray:
    """Return probabilities as float64 of shape (rows, columns), each row adding up to 1.

    Raises:
        RunFailed: as `checked_columns`, or a row is no distribution; the message names the first such row.
    """
    answers = checked_columns(values, rows=rows, columns=columns, source=source)
    outside = ((answers < -_ROUNDING) | (answers > 1 + _ROUNDING)).any(axis=1)
    wrong = outside | (np.abs(answers.sum(axis=1) - 1) > _SUM)
    if wrong.any():
        row = int(wrong.argmax())
        msg = (
            f"{source} returned {answers[row].tolist()[:5]} for row {row}, which adds up to {answers[row].sum():.4g}. "
            "Expected a probability for each class, from 0 to 1, adding up to 1."
        )
        raise RunFailed(msg)
    clipped: np.ndarray = np.clip(answers, 0.0, 1.0)
    return clipped


def checked_probabilities(values: Any, *, rows: int, source: str) -> np.ndarray:
    """Return answers as float64 of shape (rows,), all from 0 to 1.

    Raises:
        RunFailed: as `checked`, or a value lies outside; the message names the first such row.
    """
    return _within(checked(values, rows=rows, source=source), source)


def checked_chances(values: Any, *, rows: int, columns: Sequence[Any], source: str) -> np.ndarray:
    """Return probabilities as float64 of shape (rows, columns), each from 0 to 1.

    Raises:
        RunFailed: as `checked_columns`, or a value lies outside; the message names the first such row.
    """
    return _within(checked_columns(values, rows=rows, columns=columns, source=source), source)


def _within(answers: np.ndarray, source: str) -> np.ndarray:
    wrong = (answers < -_ROUNDING) | (answers > 1 + _ROUNDING)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        msg = f"{source} returned {answers[wrong][0]} for row {row}. Expected a probability, 0 to 1."
        raise RunFailed(msg)
    clipped: np.ndarray = np.clip(answers, 0.0, 1.0)
    return clipped


def _floats(values: Any, *, rows: int, source: str, each: str) -> np.ndarray:
    try:
        answers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"{source} returned {described(values)}, which is not {each} for each row: {error}"
        raise RunFailed(msg) from error
    if answers.ndim == 0:
        plain = np.asarray(values).item()
        given = "nothing (None)" if plain is None else described(plain)
        msg = f"{source} returned {given}. Expected {each} for each of {rows} rows."
        raise RunFailed(msg)
    return answers


def _must_be_finite(answers: np.ndarray, source: str) -> None:
    finite = np.isfinite(answers)
    wrong = ~(finite if finite.ndim == 1 else finite.all(axis=1))
    if wrong.any():
        msg = (
            f"{source} returned {answers[~finite][0]} for row {int(wrong.argmax())}, and no finite number for "
            f"{int(wrong.sum())} of {len(answers)} rows. Missing inputs reach a model as NaN (numbers) or '' (strings): "
            "impute them, or use a learner that takes them."
        )
        raise RunFailed(msg)


def answers_of(estimator: Any, frame: pl.DataFrame, *, method: str, hint: str = "") -> tuple[Any, str]:
    """Return what an estimator's method, or a plain function, says to a frame, and who says it, for messages.

    Raises:
        RunFailed: it cannot be asked; `hint` is said besides.
    """
    asked = getattr(estimator, method, None)
    if isinstance(estimator, type) or not (callable(asked) or callable(estimator)):
        raise not_an_estimator(estimator, method=method, hint=hint)
    name = type(estimator).__name__
    if callable(asked):
        return asked(frame), f"{name}.{method}"
    return estimator(frame), f"The function {getattr(estimator, '__name__', name)}"


def not_an_estimator(value: Any, *, method: str, hint: str = "") -> RunFailed:
    """Return the error for something that cannot be asked for predictions."""
    given = "nothing (None)" if value is None else described(value)
    msg = (
        f"The training function returned {given}. Expected a fitted estimator with {method}(frame), or a function "
        f"that takes a frame and returns an array. {hint}"
    )
    return RunFailed(msg.rstrip())


def described(value: Any) -> str:
    """Return what a value is, in a few words."""
    if isinstance(value, type):
        return f"the class {value.__name__} itself, not an object of it"
    if isinstance(value, str | int | float | bool):
        return f"the {type(value).__name__} {value!r}"[:80]
    return f"an object of type {type(value).__name__}"
