"""Multi-label classification: which of several labels hold? Answers are one probability for each label."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.answers import chances
from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.signature import Field
from treadle.training.answers import checked_chances, not_an_estimator
from treadle.training.task import Packaged
from treadle.training.tasks.classification import Classification

#: The most labels that are told apart; a target with more is taken to be free text.
MOST = 1000
_SHOWN = 5
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True, kw_only=True)
class Multilabel(Packaged):
    """Say which of several labels hold: any number of them may, at once.

    The target is one text with the labels that hold, as `billing|urgent`; where none does, it is the text `none`, as an
    empty text cannot be told from an outcome that is not known yet. The labels are those of the training rows, in order;
    `labels` names them beforehand. The probabilities of a row do not add up to 1. A training function returns one
    estimator of all labels, or a list with one for each.

    >>> Multilabel(labels=["billing", "urgent"]).target(pl.Series("tags", ["urgent", "none", "billing|urgent"])).tolist()
    [[0, 1], [0, 0], [1, 1]]
    """

    labels: Sequence[str] = ()
    separator: str = "|"
    #: The text of a row of which no label holds.
    none: str = "none"

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.labels
        if isinstance(given, str) or not isinstance(given, Sequence):
            msg = f"Multilabel(labels={given!r}): expected a list of at least two strings."
            raise InvalidDeclaration(msg, field="labels")
        texts = [one for one in given if isinstance(one, str) and one.strip() == one != ""]
        if given and (len(texts) < len(given) or len(set(texts)) < max(2, len(texts))):
            msg = f"Multilabel(labels={list(given)!r}): expected at least two different strings; one label is td.Classification()."
            raise InvalidDeclaration(msg, field="labels")
        for name in ("separator", "none"):
            value: object = getattr(self, name)
            if not isinstance(value, str) or not (value if name == "separator" else value.strip()):
                msg = f"Multilabel({name}={value!r}): expected a text."
                raise InvalidDeclaration(msg, field=name)
        if self.separator in self.none or self.none.strip() != self.none:
            msg = f"Multilabel(none={self.none!r}): expected a text without the separator {self.separator!r}, and without blanks round it."
            raise InvalidDeclaration(msg, field="none")
        for label in texts:
            if self.separator in label or label == self.none:
                msg = f"Multilabel(labels={list(given)!r}): {label!r} holds the separator {self.separator!r}, or says that no label holds."
                raise InvalidDeclaration(msg, field="labels")
        object.__setattr__(self, "labels", tuple(texts))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "multilabel"

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
            "hamming",
            "accuracy",
            "micro_f1",
            "macro_f1",
            "roc_auc",
            "average_precision",
        )

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer: the labels that are more likely than not, as one text, and the probability of each."""
        return (
            Field(name="prediction", kind="string", separator=self.separator, none=self.none),
            Field(name="probabilities", kind="float", columns=tuple(self.labels), independent=True),
        )

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "task": self.name,
            "labels": list(self.labels),
            "separator": self.separator,
            "none": self.none,
        }

    def fitted(self, target: pl.Series) -> Multilabel:
        """Return the question about the labels of the training rows; declared ones stay.

        Raises:
            InvalidInput: a truth is missing or no text, or there are too many labels, or fewer than two.
        """
        _must_be_texts(target)
        if self.labels:
            return self
        found = sorted({label for labels in self._sets(target) for label in labels})
        if self.none in found:
            msg = f"The target {target.name!r} holds {self.none!r} beside other labels. Expected it alone, where no label holds."
            raise InvalidInput(msg, field=target.name)
        if not 2 <= len(found) <= MOST:
            shown = ", ".join(map(repr, found[:_SHOWN])) + (", …" if len(found) > _SHOWN else "")
            msg = (
                f"The target {target.name!r} holds {len(found):,} different labels ({shown or 'none'}), with {self.separator!r} "
                f"between them. Expected 2 to {MOST:,}. One label is td.Classification(); one of several is td.Multiclass()."
            )
            raise InvalidInput(msg, field=target.name)
        return self._about(found)

    def knows(self, target: pl.Series) -> pl.Series:
        """Return, for each row, whether each of its labels is one of those known."""
        known = set(self.labels)
        return pl.Series(target.name, [labels <= known for labels in self._sets(target)], dtype=pl.Boolean)

    def over(self, columns: Sequence[Sequence[str]], target: pl.Series) -> Multilabel:
        """Return the question about every label that a contender knows or that has held."""
        _must_be_texts(target)
        found = {*self.labels, *(name for names in columns for name in names)}
        return self._about(sorted(found.union(*self._sets(target.unique()))))

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as int64 of shape (rows, labels): 1 where the label holds.

        Raises:
            InvalidInput: it holds a null, something that is no text, or another label.
        """
        known = self.fitted(target) if len(target) else self
        places = {label: place for place, label in enumerate(known.labels)}
        found = np.zeros((len(target), len(places)), dtype=np.int64)
        for row, labels in enumerate(self._sets(target)):
            for label in labels:
                if label not in places:
                    shown = ", ".join(known.labels[:_SHOWN]) + (", …" if len(places) > _SHOWN else "")
                    msg = f"The target {target.name!r} is {target[row]!r} in row {row}. Expected labels of {shown}, or {self.none!r}."
                    raise InvalidInput(msg, field=target.name)
                found[row, places[label]] = 1
        return found

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Refuse training targets in which every label is always, or never, so.

        Raises:
            InvalidInput: all rows have the same labels.
        """
        if len(y) and (y == y[0]).all():
            held = [label for label, said in zip(self.labels, y[0], strict=False) if said]
            msg = (
                f"The target {target!r} is {(self.separator.join(held) or self.none)!r} in all {len(y)} training rows. Expected "
                "rows with other labels: take a longer window, or wait for more outcomes."
            )
            raise InvalidInput(msg, field=target)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the probability of each label: float64 of shape (rows, labels).

        Asks `predict_proba` of one estimator, in either of scikit-learn's shapes, or of one for each label, or calls a
        plain function.

        Raises:
            RunFailed: it cannot be asked, or its answer is no probability; the message names the first bad row.
        """
        if isinstance(estimator, list | tuple):
            return self._of_each(estimator, frame)
        method = getattr(estimator, "predict_proba", None)
        if isinstance(estimator, type) or not (callable(method) or callable(estimator)):
            hint = "Or a list with one for each label."
            raise not_an_estimator(estimator, method="predict_proba", hint=hint)
        if not callable(method):
            source = f"The function {getattr(estimator, '__name__', type(estimator).__name__)}"
            return checked_chances(estimator(frame), rows=frame.height, columns=self.labels, source=source)
        source = f"{type(estimator).__name__}.predict_proba"
        try:
            classes = getattr(estimator, "classes_", None)
            found = chances(method(frame), classes, columns=self.labels, source=source)
        except InvalidInput as error:
            raise RunFailed(str(error)) from error
        return checked_chances(found, rows=frame.height, columns=self.labels, source=source)

    def _of_each(self, estimators: Sequence[Any], frame: pl.DataFrame) -> np.ndarray:
        if len(estimators) != len(self.labels):
            msg = (
                f"The training function returned {len(estimators)} estimators for {len(self.labels)} labels. Expected one for "
                f"each, in this order: {', '.join(self.labels)}."
            )
            raise RunFailed(msg)
        return np.column_stack([Classification().predictions(one, frame) for one in estimators])

    def _sets(self, target: pl.Series) -> list[frozenset[str]]:
        """Return the labels of each row; those of a missing text are none."""
        texts = target.cast(pl.String).fill_null(self.none).to_list()
        known = {text: self._set(text) for text in set(texts)}
        return [known[text] for text in texts]

    def _set(self, text: str) -> frozenset[str]:
        parts = frozenset(part.strip() for part in text.split(self.separator)) - {""}
        return frozenset() if parts == {self.none} else parts

    def _about(self, labels: Sequence[str]) -> Multilabel:
        """Return the question about labels that were found, of which there may be fewer than two as yet."""
        made = copy(self)
        object.__setattr__(made, "labels", tuple(labels))
        return made


def _must_be_texts(target: pl.Series) -> None:
    if target.dtype not in _TEXTS:
        msg = f"The target {target.name!r} is {target.dtype}. Expected texts, as 'billing|urgent'."
        raise InvalidInput(msg, field=target.name)
    if target.null_count():
        row = int(target.is_null().arg_true()[0])
        msg = f"The target {target.name!r} has no value in row {row}. Expected rows with a known outcome only; where no label holds, 'none'."
        raise InvalidInput(msg, field=target.name)
