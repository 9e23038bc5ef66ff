"""Makes the reference of a version: what it has learnt from, how it answers, and how good such answers are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from treadle.core.answers import numbers, scored
from treadle.core.servable import Servable
from treadle.core.signature import Field, Signature
from treadle.monitoring import estimation
from treadle.monitoring import reference as references
from treadle.monitoring.estimation import Estimator
from treadle.monitoring.reference import Reference
from treadle.training.data import TrainingData

#: Takes rows with the input columns, and returns the scored numbers of (rows,) or (rows, columns).
Predict = Callable[[pl.DataFrame], np.ndarray]
#: Rows kept apart from which on answers to these are the reference; fewer: answers to the rows learnt from.
APART = 100
#: Rows that are answered for it, and numbers of an answer that are compared.
ANSWERED, NUMBERS = 50_000, 20
#: Rows that are answered to see how much answers depend on the inputs: of each input, and of all together.
_DEALT, _ALL = 256, 30_000


def of_training(predict: Predict, data: TrainingData, signature: Signature, *, seed: int) -> Reference:
    """Return the reference of an estimator that was fitted to the training rows of some data."""
    notes: tuple[str, ...] = ()
    rows = data.validation
    if len(rows) < APART:
        notes = (
            f"Of {len(rows)} rows kept apart there were too few: answers are those to rows that were learnt from.",
        )
        rows = data.train
    chosen = slice(None, None, -(-max(1, len(rows)) // ANSWERED))
    asked, truth = rows.frame[chosen], rows.y[chosen]
    values = predict(asked)
    matters = dependence(predict, asked, signature.names, seed=seed)
    everything = pl.concat([data.train.frame, data.validation.frame], how="diagonal_relaxed")
    parts = {
        "input": inputs_of(everything, signature),
        "target": everything.select(data.target) if data.target in everything.columns else pl.DataFrame(),
        **answered(values, scored(signature)),
    }
    learnt = None if notes else _estimator(inputs_of(asked, signature), values, truth, signature, matters)
    return references.build(parts, importance=matters, estimator=learnt, notes=notes, seed=seed)


def predicts(servable: Servable, signature: Signature) -> Predict:
    """Return what asks a loaded model."""
    return lambda frame: numbers(servable.predict(signature.encode(frame)), signature)


def _estimator(
    inputs: pl.DataFrame, p: np.ndarray, y: np.ndarray, signature: Signature, matters: dict[str, float]
) -> Estimator | None:
    """Return what estimates how good answers like these are: to questions of classes, and of one number."""
    last = scored(signature)
    if y.ndim != 1:
        return None
    if last.name == "probability" and p.ndim == 1:
        return estimation.of_chances(p, y)
    if last.name == "probabilities" and not last.independent and p.ndim == 2:
        return estimation.of_chances(p, y, classes=last.columns)
    if last.name == "prediction" and last.kind == "float" and p.ndim == 1:
        return estimation.of_errors(inputs, p, y.astype(np.float64), importance=matters)
    return None


def inputs_of(frame: pl.DataFrame, signature: Signature) -> pl.DataFrame:
    """Return the columns that a model takes, but for moments."""
    kept = [field.name for field in signature.inputs if field.kind not in {"timestamp", "date"}]
    return frame.select([name for name in kept if name in frame.columns])


def answered(values: np.ndarray, field: Field) -> dict[str, pl.DataFrame]:
    """Return the scored numbers of answers as frames by role: `prediction`, and of classes `confidence`.

    Of classes that exclude each other the prediction is the likeliest, of quantiles the middle one; of several other numbers each is one.

    >>> found = answered(np.array([[0.2, 0.8]]), Field(name="probabilities", kind="float", columns=("cat", "dog")))
    >>> found["prediction"]["prediction"].to_list(), found["confidence"]["confidence"].to_list()
    (['dog'], [0.8])
    """
    if values.ndim == 1:
        if field.name == "probability":
            return {
                "prediction": pl.DataFrame({"probability": values}),
                "confidence": pl.DataFrame({"confidence": np.maximum(values, 1 - values)}),
            }
        column = pl.Series("prediction", values)
        is_name = field.kind == "integer"
        return {"prediction": (column.cast(pl.Int64).cast(pl.String) if is_name else column).to_frame()}
    if field.name == "probabilities" and not field.independent:
        named = pl.Series(
            "prediction", [field.columns[place] for place in values.argmax(axis=1)], dtype=pl.String
        )
        return {
            "prediction": named.to_frame(),
            "confidence": pl.DataFrame({"confidence": values.max(axis=1)}),
        }
    if field.rising:
        return {"prediction": pl.DataFrame({"prediction": values[:, values.shape[1] // 2]})}
    columns = dict(zip(field.columns[:NUMBERS], values.T, strict=False))
    return {"prediction": pl.DataFrame(columns)}


def dependence(predict: Predict, frame: pl.DataFrame, names: Sequence[str], *, seed: int) -> dict[str, float]:
    """Return how much of the variation of answers goes with each input: 0 for none, about 1 for all.

    The mean difference between answers before and after the input's values are dealt out anew, by that between answers to two rows. All
    that is dealt out is answered in one call. Needs no outcomes.
    """
    rows = min(frame.height, max(32, min(_DEALT, _ALL // max(1, len(names)))))
    if rows < 2 or len(names) * rows > _ALL * 4:
        return {}
    random = np.random.default_rng(seed)
    taken = frame.select(names)[np.sort(random.choice(frame.height, rows, replace=False))]
    order = random.permutation(rows)
    dealt = [taken.with_columns(taken[name][order]) for name in names]
    found = predict(pl.concat([taken, *dealt])).reshape(len(names) + 1, rows, -1)
    apart = float(np.abs(found[0] - found[0][order]).mean())
    if not apart > 0:
        return dict.fromkeys(names, 0.0)
    return {
        name: round(float(np.abs(after - found[0]).mean()) / apart, 4)
        for name, after in zip(names, found[1:], strict=True)
    }
