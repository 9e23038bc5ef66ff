"""Binary classification: is it so, or not? Answers are probabilities of the positive class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.signature import Field
from treadle.training.answers import checked_probabilities, not_an_estimator
from treadle.training.task import Settled

_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Classification(Settled):
    """Tell two classes apart.

    The target is boolean, 0 or 1, or one of two strings; for strings, `positive` names the class whose probability
    is predicted.

    >>> Classification(positive="yes").target(pl.Series("late", ["yes", "no"])).tolist()
    [1, 0]
    """

    positive: str | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.positive
        if given is not None and not isinstance(given, str):
            msg = (
                f"Classification(positive={self.positive!r}): expected one of two strings. "
                "For a boolean or 0/1 target leave it out; true and 1 are positive."
            )
            raise InvalidDeclaration(msg, field="positive")

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "classification"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "log_loss"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("log_loss", "brier", "roc_auc", "average_precision", "accuracy", "calibration_error")

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer: the more probable class, and the probability of the positive one."""
        return (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "positive": self.positive}

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as int64 of shape (rows,): 1 for the positive class, else 0.

        Raises:
            InvalidInput: it holds a null, or something that is neither of two classes.
        """
        if target.null_count():
            row = int(target.is_null().arg_true()[0])
            msg = f"The target {target.name!r} has no value in row {row}. Expected rows with a known outcome only."
            raise InvalidInput(msg, field=target.name)
        if target.dtype in (pl.String, pl.Categorical, pl.Enum):
            return self._encode_strings(target.cast(pl.String))
        if self.positive is not None:
            msg = (
                f"Classification(positive={self.positive!r}) needs a target of strings; {target.name!r} is "
                f"{target.dtype}. Leave `positive` out: true and 1 are positive."
            )
            raise InvalidInput(msg, field=target.name)
        if target.dtype != pl.Boolean:
            _must_be_binary(target)
        return target.cast(pl.Int64).to_numpy()

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Refuse training targets that hold one class only.

        Raises:
            InvalidInput: all rows have the same class.
        """
        if len(y) and y.min() == y.max():
            only = "positive" if y[0] == 1 else "negative"
            msg = (
                f"The target {target!r} is {only} in all {len(y)} training rows. Expected both classes: "
                "take a longer window, or wait for more outcomes."
            )
            raise InvalidInput(msg, field=target)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the probability of the positive class: float64 of shape (rows,).

        Asks `predict_proba`, or calls a plain function.

        Raises:
            RunFailed: it cannot be asked, or its answer is no probability; the message names the first bad row.
        """
        method = getattr(estimator, "predict_proba", None)
        if isinstance(estimator, type) or not (callable(method) or callable(estimator)):
            hint = ""
            if not isinstance(estimator, type) and hasattr(estimator, "predict"):
                hint = "It has predict but no predict_proba: scikit-learn's CalibratedClassifierCV round it adds one."
            raise not_an_estimator(estimator, method="predict_proba", hint=hint)
        if callable(method):
            source = f"{type(estimator).__name__}.predict_proba"
            answers = self._positive_column(
                np.asarray(method(frame)), getattr(estimator, "classes_", None), source
            )
        else:
            source = f"The function {getattr(estimator, '__name__', type(estimator).__name__)}"
            answers = self._positive_column(np.asarray(estimator(frame)), None, source)
        return checked_probabilities(answers, rows=frame.height, source=source)

    def _encode_strings(self, target: pl.Series) -> np.ndarray:
        values = sorted(target.unique())
        shown = ", ".join(map(repr, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")
        if self.positive is None and len(values) > 2:
            msg = (
                f"The target {target.name!r} holds {len(values)} different values ({shown}). Expected two classes; more of "
                "them are td.Multiclass()."
            )
            raise InvalidInput(msg, field=target.name)
        if self.positive is None:
            msg = (
                f"The target {target.name!r} holds strings ({shown}). Say which one is predicted: "
                f"td.Classification(positive={values[-1] if values else 'yes'!r})."
            )
            raise InvalidInput(msg, field=target.name)
        if len(values) > 2 or (len(values) == 2 and self.positive not in values):
            msg = (
                f"The target {target.name!r} holds {len(values)} different values ({shown}). "
                f"Expected {self.positive!r} and one other. More than two classes are td.Multiclass()."
            )
            raise InvalidInput(msg, field=target.name)
        return (target == self.positive).cast(pl.Int64).to_numpy()

    def _positive_column(self, answers: np.ndarray, classes: Sequence[Any] | None, source: str) -> np.ndarray:
        if answers.ndim != 2:
            return answers
        if classes is None or len(classes) != answers.shape[1]:
            return answers[:, 1] if answers.shape[1] == 2 else answers
        known = [value.item() if isinstance(value, np.generic) else value for value in classes]
        for wanted in (1, self.positive):
            if wanted is not None and wanted in known:
                return answers[:, known.index(wanted)]
        if known == [0]:
            return np.zeros(len(answers))
        msg = f"{source} knows the classes {known}. Expected 0 and 1: fit it to data.train.y."
        raise RunFailed(msg)


def _must_be_binary(target: pl.Series) -> None:
    if not target.dtype.is_numeric():
        msg = f"The target {target.name!r} is {target.dtype}. Expected booleans, 0 and 1, or two strings."
        raise InvalidInput(msg, field=target.name)
    values = sorted(target.unique())
    if any(value not in (0, 1) for value in values):
        shown = ", ".join(map(str, values[:_SHOWN])) + (", …" if len(values) > _SHOWN else "")
        msg = (
            f"The target {target.name!r} holds {len(values)} different numbers ({shown}). Expected 0 and 1. "
            "A number to estimate is td.Regression(); several classes are td.Multiclass()."
        )
        raise InvalidInput(msg, field=target.name)
