"""Refuses what a fitted estimator answers when it is no answer: not a number, or not one for each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from treadle.core.errors import RunFailed

#: Rounding that a probability may carry beyond 0 and 1.
_ROUNDING = 1e-6


def checked(values: Any, *, rows: int, source: str) -> np.ndarray:
    """Return answers as float64 of shape (rows,).

    Raises:
        RunFailed: the shape is another one, or a value is no finite number; the message names the first such row.
    """
    try:
        answers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        msg = f"{source} returned {described(values)}, which is not one number for each row: {error}"
        raise RunFailed(msg) from error
    if answers.ndim == 0:
        given = (
            "nothing (None)" if np.asarray(values).item() is None else described(np.asarray(values).item())
        )
        msg = f"{source} returned {given}. Expected one number for each of {rows} rows."
        raise RunFailed(msg)
    if answers.shape == (rows, 1):
        answers = answers[:, 0]
    if answers.shape != (rows,):
        msg = (
            f"{source} returned an array of shape {answers.shape} for {rows} rows. Expected shape ({rows},)."
        )
        raise RunFailed(msg)
    wrong = ~np.isfinite(answers)
    if wrong.any():
        msg = (
            f"{source} returned {answers[wrong][0]} for row {int(wrong.argmax())}, and no finite number for "
            f"{int(wrong.sum())} of {rows} rows. Missing inputs reach a model as NaN (numbers) or '' (strings): "
            "impute them, or use a learner that takes them."
        )
        raise RunFailed(msg)
    return answers


def checked_probabilities(values: Any, *, rows: int, source: str) -> np.ndarray:
    """Return answers as float64 of shape (rows,), all from 0 to 1.

    Raises:
        RunFailed: as `checked`, or a value lies outside; the message names the first such row.
    """
    answers = checked(values, rows=rows, source=source)
    wrong = (answers < -_ROUNDING) | (answers > 1 + _ROUNDING)
    if wrong.any():
        msg = f"{source} returned {answers[wrong][0]} for row {int(wrong.argmax())}. Expected a probability, 0 to 1."
        raise RunFailed(msg)
    clipped: np.ndarray = np.clip(answers, 0.0, 1.0)
    return clipped


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
