"""Multi-class classification: which of several is it? Answers are one probability for each class."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.answers import aligned
from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.signature import Field
from treadle.training.answers import checked_shares, not_an_estimator
from treadle.training.task import Packaged

#: The most classes that are told apart; a target with more is taken to be a name or an id.
MOST = 1000
_SHOWN = 5
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, kw_only=True)
class Multiclass(Packaged):
    """Tell several classes apart.

    The target is strings or integers. The classes are those of the training rows, in order; `classes` names them
    beforehand, so that an answer has the same columns whatever the window holds.

    A class that training has not seen has no column: its rows count as wrong, with a probability of 0, until a version is
    trained that knows it.

    >>> Multiclass(classes=["low", "mid", "high"]).target(pl.Series("risk", ["high", "low"])).tolist()
    [2, 0]
    """

    classes: Sequence[str] | Sequence[int] = ()

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.classes
        if isinstance(given, str) or not isinstance(given, Sequence):
            msg = f"Multiclass(classes={given!r}): expected a list of at least two strings, or of integers."
            raise InvalidDeclaration(msg, field="classes")
        kinds = {type(one) for one in given}
        if given and (not (kinds == {str} or kinds == {int}) or len(set(given)) < max(2, len(given))):
            msg = (
                f"Multiclass(classes={list(given)!r}): expected at least two different strings, or integers."
            )
            raise InvalidDeclaration(msg, field="classes")
        object.__setattr__(self, "classes", tuple(given))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "multiclass"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "log_loss"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return (
            "log_loss",
            "brier",
            "accuracy",
            "balanced_accuracy",
            "macro_f1",
            "roc_auc",
            "calibration_error",
        )

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer: the most probable class, and the probability of each."""
        names = tuple(map(str, self.classes))
        whole = bool(self.classes) and isinstance(self.classes[0], int)
        return (
            Field(name="prediction", kind="integer" if whole else "category", levels=() if whole else names),
            Field(name="probabilities", kind="float", columns=names),
        )

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "classes": list(self.classes)}

    def fitted(self, target: pl.Series) -> Multiclass:
        """Return the question about the classes of the training rows; declared ones stay.

        Raises:
            InvalidInput: a truth is missing, is neither a string nor an integer, or there are too many classes.
        """
        _must_be_classes(target)
        if self.classes:
            return self
        found = target.cast(pl.String) if target.dtype in _TEXTS else target.cast(pl.Int64)
        classes = sorted(found.unique())
        if len(classes) > MOST:
            msg = (
                f"The target {target.name!r} holds {len(classes):,} different values. Expected at most {MOST:,} classes: "
                "is it a name or an id? A number to estimate is td.Regression()."
            )
            raise InvalidInput(msg, field=target.name)
        return self._about(classes)

    def knows(self, target: pl.Series) -> pl.Series:
        """Return, for each row, whether its class is one of those known."""
        return target.cast(pl.String).is_in(list(map(str, self.classes)))

    def over(self, columns: Sequence[Sequence[str]], target: pl.Series) -> Multiclass:
        """Return the question about every class that a contender knows or that has happened."""
        found = {
            *map(str, self.classes),
            *target.cast(pl.String),
            *(name for names in columns for name in names),
        }
        return self._about(sorted(found))

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as int64 of shape (rows,): the place of each row's class among the classes.

        Raises:
            InvalidInput: it holds a null, something that is neither a string nor an integer, or another class.
        """
        known = self.fitted(target)
        if not len(target):
            return np.empty(0, dtype=np.int64)
        stranger = ~known.knows(target)
        if stranger.any():
            row = int(stranger.arg_true()[0])
            shown = ", ".join(map(str, known.classes[:_SHOWN])) + (
                ", …" if len(known.classes) > _SHOWN else ""
            )
            msg = f"The target {target.name!r} is {target[row]!r} in row {row}. Expected one of {shown}."
            raise InvalidInput(msg, field=target.name)
        places = {str(name): place for place, name in enumerate(known.classes)}
        return target.cast(pl.String).replace_strict(places, return_dtype=pl.Int64).to_numpy()

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Refuse training targets that hold one class only.

        Raises:
            InvalidInput: all rows have the same class.
        """
        if len(y) and y.min() == y.max():
            only = self.classes[int(y[0])] if self.classes else y[0]
            msg = (
                f"The target {target!r} is {only!r} in all {len(y)} training rows. Expected several classes: take a "
                "longer window, or wait for more outcomes."
            )
            raise InvalidInput(msg, field=target)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the probability of each class: float64 of shape (rows, classes), 0 for one that the estimator lacks.

        Asks `predict_proba`, or calls a plain function.

        Raises:
            RunFailed: it cannot be asked, or its answer is no distribution; the message names the first bad row.
        """
        method = getattr(estimator, "predict_proba", None)
        if isinstance(estimator, type) or not (callable(method) or callable(estimator)):
            raise not_an_estimator(estimator, method="predict_proba")
        columns = tuple(map(str, self.classes))
        if not callable(method):
            source = f"The function {getattr(estimator, '__name__', type(estimator).__name__)}"
            return checked_shares(estimator(frame), rows=frame.height, columns=columns, source=source)
        source = f"{type(estimator).__name__}.predict_proba"
        shares, classes = method(frame), getattr(estimator, "classes_", columns)
        found = checked_shares(shares, rows=frame.height, columns=tuple(classes), source=source)
        try:
            return aligned(found, classes, columns=columns, source=source)
        except InvalidInput as error:
            msg = f"{error} Fit it to data.train.y."
            raise RunFailed(msg) from error

    def _about(self, classes: Sequence[str]) -> Multiclass:
        """Return the question about classes that were found, which may be a single one as yet."""
        made = copy(self)
        object.__setattr__(made, "classes", tuple(classes))
        return made


def _must_be_classes(target: pl.Series) -> None:
    if not (target.dtype in _TEXTS or target.dtype.is_integer()):
        hint = " Two classes are td.Classification()." if target.dtype == pl.Boolean else ""
        hint = hint or (" A number to estimate is td.Regression()." if target.dtype.is_float() else "")
        msg = f"The target {target.name!r} is {target.dtype}. Expected strings or integers.{hint}"
        raise InvalidInput(msg, field=target.name)
    if target.null_count():
        row = int(target.is_null().arg_true()[0])
        msg = (
            f"The target {target.name!r} has no value in row {row}. Expected rows with a known outcome only."
        )
        raise InvalidInput(msg, field=target.name)
