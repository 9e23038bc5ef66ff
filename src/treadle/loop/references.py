"""Makes the reference of a version: where it is trained, or later from what is recorded of its training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from treadle.core.answers import numbers, scored
from treadle.core.errors import InvalidInput
from treadle.core.records import ModelVersion
from treadle.core.signature import Field, Signature
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.monitoring import reference as references
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
    """Return the reference of an estimator that was fitted to these rows."""
    return _made(
        predict,
        learnt=data.train.frame,
        apart=data.validation.frame,
        signature=signature,
        target=data.target,
        seed=seed,
    )


def of_version(model: Model, version: ModelVersion, rooms: Rooms) -> Reference:
    """Return the reference of a version that has none, from the dataset versions and the window of its run.

    Raises:
        NotFound: its run, or a dataset version that it read, is gone.
        InvalidInput: there are no rows any more, or it was not trained here.
    """
    run = rooms.runs.get(version.run)
    if run.origin is not None or not run.data:
        msg = f"{version.model}/{version.version} was not trained here, so nothing says what it learnt from. Compare with a version that was: --against."
        raise InvalidInput(msg)
    rows = Frames(rooms.datasets).rows(model, versions=run.data, window=version.window)
    parts = {split: rows.filter(pl.col("_split") == split) for split in ("train", "validation")}
    if parts["train"].is_empty():
        msg = f"There are no rows any more that {version.model}/{version.version} has learnt from."
        raise InvalidInput(msg)
    servable = rooms.models.load(version)

    def predict(frame: pl.DataFrame) -> np.ndarray:
        return numbers(servable.predict(version.signature.encode(frame)), version.signature)

    return _made(
        predict,
        learnt=parts["train"],
        apart=parts["validation"],
        signature=version.signature,
        target=model.truth,
        seed=run.seed,
    )


def _made(
    predict: Predict,
    *,
    learnt: pl.DataFrame,
    apart: pl.DataFrame,
    signature: Signature,
    target: str,
    seed: int,
) -> Reference:
    notes: tuple[str, ...] = ()
    asked = apart
    if apart.height < APART:
        asked = learnt
        notes = (
            f"Of {apart.height} rows kept apart there were too few: answers are those to rows that were learnt from.",
        )
    asked = asked if asked.height <= ANSWERED else asked.gather_every(-(-asked.height // ANSWERED))
    everything = pl.concat([learnt, apart], how="diagonal_relaxed") if apart.height else learnt
    parts = {
        "input": inputs_of(everything, signature),
        "target": everything.select(target) if target in everything.columns else pl.DataFrame(),
        **answered(predict(asked), scored(signature)),
    }
    return references.build(
        parts, importance=dependence(predict, asked, signature.names, seed=seed), notes=notes, seed=seed
    )


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
