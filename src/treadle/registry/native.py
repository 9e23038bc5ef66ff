"""A fitted estimator in its own library, answering as a packaged model does: what conversions are compared with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from treadle.core.answers import aligned, chances, completed, scored, shape_of
from treadle.core.signature import Signature, decode_frame
from treadle.registry.asked import Asked, method_of, turn_of
from treadle.registry.conversion.pipelines import last_step


class NativeModel:
    """An object with scikit-learn's methods that answers for encoded columns."""

    def __init__(self, estimator: Any, *, task: str, signature: Signature) -> None:
        self._estimator, self._task, self._signature = estimator, task, signature
        self._boolean = any(f.name == "prediction" and f.kind == "boolean" for f in signature.outputs)

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        return self._signature

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for encoded columns of shape (rows,)."""
        given = self._given(columns)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Found unknown categories", category=UserWarning)
            if self._task == "classification":
                return self._two_classes(given)
            return completed(self._numbers(given), self._signature)

    def _two_classes(self, given: Any) -> dict[str, np.ndarray]:
        """Answer with the class that the estimator itself chooses: where both are as likely, its kinds differ."""
        shares = np.asarray(self._estimator.predict_proba(given), dtype=np.float64)
        chosen = np.asarray(self._estimator.predict(given)).reshape(-1)
        if self._boolean:
            chosen = chosen == self._estimator.classes_[1]
        return {"prediction": chosen, "probability": shares[:, 1]}

    def _numbers(self, given: Any) -> np.ndarray:
        last = scored(self._signature)
        if last.name == "probabilities":
            answer, source = self._estimator.predict_proba(given), type(last_step(self._estimator)).__name__
            if last.independent:
                classes = getattr(self._estimator, "classes_", None)
                return np.asarray(
                    chances(answer, classes, columns=last.columns, source=source), dtype=np.float64
                )
            shares = np.asarray(answer, dtype=np.float64)
            return aligned(shares, list(self._estimator.classes_), columns=last.columns, source=source)
        method = getattr(self._estimator, method_of(self._estimator, last))
        values = np.asarray(method(given), dtype=np.float64)
        if not isinstance(self._estimator, Asked):
            values = self._turn(values)
        return values.reshape(shape_of(last.columns, len(values)))

    @cached_property
    def _turn(self) -> Callable[[np.ndarray], np.ndarray]:
        return turn_of(self._estimator, scored(self._signature))

    def _given(self, columns: Mapping[str, np.ndarray]) -> Any:
        """Return the rows as the estimator was fitted: a frame where it knows names, else an array."""
        frame = decode_frame(self._signature.inputs, columns)
        names = getattr(self._estimator, "feature_names_in_", None)
        return frame.to_numpy() if names is None else frame.select(list(names))
