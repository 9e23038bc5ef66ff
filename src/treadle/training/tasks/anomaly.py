"""Anomaly detection: how unusual is it? Answers are scores, the higher the more unusual, and yes above a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration
from treadle.core.signature import Field
from treadle.training.answers import checked, not_an_estimator
from treadle.training.task import Untold
from treadle.training.tasks.classification import Classification


@dataclass(frozen=True, kw_only=True)
class Anomaly(Untold):
    """Find rows that are unlike the others, with a target that says which are, or without one.

    Asks `score_samples`, as `IsolationForest`, `OneClassSVM` and `LocalOutlierFactor(novelty=True)` have it, and turns its
    sign; a function gives the score itself: the higher, the more unusual. A row is flagged above the score that `share`
    of the validation rows exceed (of the training rows where there are fewer than 100): the bound is fixed with the version.

    With a target, true or 1 where a row is an anomaly, `average_precision` and `roc_auc` decide. Without one, nothing can say
    whose scores are better. What is measured then is `flag_error`: how far the share of rows that are flagged is from `share`.

    >>> Anomaly(share=0.02).metrics, Anomaly().on("fraud").metrics
    (('flag_error',), ('average_precision', 'roc_auc'))

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    share: float = 0.01
    #: Whether a target says which rows are anomalies; what `@td.model` declares.
    told: bool = False
    #: The score above which a row is flagged, once the training is over.
    bound: float = 0.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.share
        if not isinstance(given, float) or not 0 < given < 1:
            msg = f"Anomaly(share={given!r}): expected the share of rows that are flagged, between 0 and 1, as 0.01."
            raise InvalidDeclaration(msg, field="share")

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "anomaly"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return self.metrics[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("average_precision", "roc_auc") if self.told else ("flag_error",)

    @property
    def options(self) -> dict[str, bool]:
        """What metrics have to know of the declaration: answers are scores, no probabilities."""
        return {"scores": True}

    @property
    def of_inputs(self) -> bool:
        """Say no: any two can be compared by which rows they flag."""
        return False

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer: whether it is flagged, and the score."""
        return (
            Field(name="prediction", kind="boolean", above=self.bound),
            Field(name="score", kind="float", method="score_samples", turned="negated"),
        )

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"task": self.name, "share": self.share, "told": self.told}

    def on(self, target: str) -> Self:
        """Return the question with a target, or without one."""
        return replace(self, told=bool(target))

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as int64 of shape (rows,): 1 for an anomaly, else 0.

        Raises:
            InvalidInput: it holds a null, or something else than true and false, or 0 and 1.
        """
        return Classification().target(target)

    def truth(self, rows: pl.DataFrame, target: str, inputs: tuple[str, ...] = ()) -> np.ndarray:  # noqa: ARG002
        """Return what metrics compare with: which rows are anomalies, or without a target the share that is promised."""
        return self.target(rows[target]) if target else np.full(rows.height, self.share)

    def settled(self, answers: Callable[[], np.ndarray]) -> Self:
        """Return the question with the bound that `share` of these scores exceed."""
        return replace(self, bound=float(np.quantile(answers(), 1 - self.share)))

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the scores, the higher the more unusual: float64 of shape (rows,).

        Raises:
            RunFailed: it cannot be asked, or its answer is no number; the message names the first bad row.
        """
        method = getattr(estimator, "score_samples", None)
        if isinstance(estimator, type) or not (callable(method) or callable(estimator)):
            hint = "LocalOutlierFactor has it with novelty=True." if hasattr(estimator, "fit_predict") else ""
            raise not_an_estimator(estimator, method="score_samples", hint=hint)
        if not callable(method):
            name = getattr(estimator, "__name__", type(estimator).__name__)
            return checked(estimator(frame), rows=frame.height, source=f"The function {name}")
        source = f"{type(estimator).__name__}.score_samples"
        values = np.asarray(method(frame), dtype=np.float64) if frame.height else np.empty(0)
        return checked(-values, rows=frame.height, source=source)
