"""Models of other libraries with scikit-learn's methods, so that everything asks every model in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from treadle.core.answers import chances, scored
from treadle.core.signature import Field, Signature
from treadle.core.stretch import log_stretch

if TYPE_CHECKING:
    import polars as pl


class Asked:
    """A model behind `predict` and `predict_proba`.

    `answer` takes rows as a frame, or as an array where the model knows no names, and returns numbers of shape (rows,),
    such as the probability of class 1, or of shape (rows, classes).
    """

    def __init__(
        self,
        answer: Callable[[Any], Any],
        *,
        names: Sequence[str] | None,
        signature: Signature,
        classes: Sequence[Any] | None = None,
    ) -> None:
        self._answer = answer
        last = scored(signature)
        self._is_classifier = last.name in {"probability", "probabilities"}
        self._labels, self._values = (last.columns if last.independent else ()), classes
        if last.independent:
            classes = None
        self.classes_ = np.arange(len(last.columns) or 2) if classes is None else np.asarray(classes)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def predict_proba(self, rows: Any) -> np.ndarray:
        """Return the probabilities of shape (rows, classes)."""
        answer = self._answer(rows)
        if self._labels:
            answer = chances(answer, self._values, columns=self._labels, source=type(self).__name__)
        shares = np.asarray(answer, dtype=np.float64)
        return np.column_stack([1 - shares, shares]) if shares.ndim == 1 else shares

    def predict(self, rows: Any) -> np.ndarray:
        """Return the classes, or the numbers that are predicted."""
        if self._is_classifier:
            return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])
        return np.asarray(self._answer(rows), dtype=np.float64)


def method_of(estimator: Any, scored: Field) -> str:
    """Return the method by which an estimator is asked for the scored output; one that stands for a model is asked so already."""
    return "predict" if isinstance(estimator, Asked) or not scored.method else scored.method


def turn_of(estimator: Any, scored: Field) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes the scored numbers of what an estimator's method gives.

    Raises:
        InvalidInput: they are a density, and a step before it bends space.
    """
    if scored.turned == "negated":
        return lambda values: -values
    added = log_stretch(estimator) if scored.turned == "stretched" else 0.0
    return lambda values: values + added


def codes(series: pl.Series, levels: Sequence[Any]) -> np.ndarray:
    """Return strings as the numbers of their categories; NaN for one that is missing or not known."""
    known = {str(level): float(number) for number, level in enumerate(levels)}
    return np.array([known.get(value, np.nan) for value in series.fill_null("")])


def names_of(given: Sequence[str] | None, signature: Signature) -> list[str] | None:
    """Return the columns that a library names, as the signature calls them; None: it made the names up."""
    if not given:
        return None
    spelled = {name.replace(" ", "_"): name for name in signature.names}
    found = [spelled.get(name.replace(" ", "_")) for name in given]
    return None if None in found else [str(name) for name in found]


def placed(values: np.ndarray, names: Sequence[str], signature: Signature) -> np.ndarray:
    """Return contributions of shape (rows, numbers, inputs + 1) to inputs in the model's order in that of the signature.

    An input that the model does not take has none.
    """
    found = np.zeros((*values.shape[:2], len(signature.names) + 1))
    found[:, :, [*(signature.names.index(name) for name in names), -1]] = values
    return found
