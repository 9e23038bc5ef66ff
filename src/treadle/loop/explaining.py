"""Explains a version's answers: what each input adds to them, on rows given or on those that its run was judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from treadle.core.answers import numbers, scored
from treadle.core.errors import InvalidInput
from treadle.core.records import ModelVersion, Record, Run
from treadle.core.signature import Signature, decode_frame
from treadle.evaluation.contributions import Contributions, contributions
from treadle.evaluation.lookups import By
from treadle.loop import judging
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.registry.models import Models

Columns = Mapping[str, np.ndarray]
#: Rows that are taken of the test rows, and of the package's golden rows as background.
ROWS, BACKGROUND = 1_000, 200
#: Rows that are taken for a card.
TRIED = 300


class Added(Record, frozen=True, kw_only=True):
    """How much an input adds to a version's answers, or takes from them: the mean of absolute contributions."""

    column: str
    value: float
    #: Ends of the 95 % interval over rows.
    low: float
    high: float


class Explained(Record, frozen=True, kw_only=True):
    """What the inputs add, most first."""

    inputs: tuple[Added, ...] = ()
    #: On which scale, and how it was found; see `evaluation.contributions`.
    scale: str = ""
    method: str = ""
    rows: int = 0


def explain(
    version: ModelVersion, rows: pl.DataFrame, rooms: Rooms, *, by: By = None, seed: int = 0
) -> Contributions:
    """Return what each input adds to a version's answers for rows, beside its golden rows.

    Raises:
        InvalidInput: the rows do not fit the signature, a column to slice by is not there, or the answers are names.
        PackageRefused: the package is damaged or gone.
    """
    if not is_explained(version.signature):
        msg = f"{version.ref} answers with the number of a cluster, which is a name: nothing adds to it. Expected a model that answers with amounts."
        raise InvalidInput(msg)
    insides, signature = rooms.models.insides(version), version.signature
    encoded = decode_frame(signature.inputs, signature.encode(rows))
    last = scored(signature)

    def predict(frame: pl.DataFrame) -> np.ndarray:
        return numbers(insides.servable.predict(_columns(frame, signature)), signature)

    return contributions(
        predict,
        encoded,
        spread(insides.golden, BACKGROUND),
        inputs=signature.names,
        outputs=last.columns,
        likely=last.name in {"probability", "probabilities"},
        by=by,
        said=rows,
        forest=insides.forest,
        own=insides.own,
        seed=seed,
    )


def explainer(version: ModelVersion, models: Models) -> Callable[[Columns], list[dict[str, Any]]]:
    """Return what explains a version's answers to encoded rows, as `explain` does; only exact explanations are given.

    Raises:
        InvalidInput: the answers are names.
        PackageRefused: the package is damaged or gone.
    """
    if not is_explained(version.signature):
        msg = f"{version.ref} answers with the number of a cluster, which is a name: nothing adds to it."
        raise InvalidInput(msg, field="explain")
    insides, signature = models.insides(version), version.signature
    last, background = scored(signature), spread(insides.golden, BACKGROUND)

    def predict(frame: pl.DataFrame) -> np.ndarray:
        return numbers(insides.servable.predict(_columns(frame, signature)), signature)

    def explained(columns: Columns) -> list[dict[str, Any]]:
        found = contributions(
            predict,
            decode_frame(signature.inputs, columns),
            background,
            inputs=signature.names,
            outputs=last.columns,
            likely=last.name in {"probability", "probabilities"},
            forest=insides.forest,
            own=insides.own,
            exact=True,
        )
        return [_told(found, row) for row in range(len(found.values))]

    return explained


def _told(found: Contributions, row: int) -> dict[str, Any]:
    """Return one row's explanation as plain values; of several numbers each by its name."""

    def named(values: np.ndarray) -> Any:
        numbers_ = values.tolist()
        return dict(zip(found.outputs, numbers_, strict=True)) if found.outputs else numbers_[0]

    inputs = {name: named(found.values[row, place]) for place, name in enumerate(found.inputs)}
    return {"scale": found.scale, "method": found.method, "base": named(found.base), "inputs": inputs}


def is_explained(signature: Signature) -> bool:
    """Return whether answers are amounts, to which an input can add something; the number of a cluster is none."""
    return scored(signature).kind == "float"


def explained(version: ModelVersion, rows: pl.DataFrame, rooms: Rooms) -> Explained:
    """Return what the inputs add on average, on at most 300 of some rows: for the card."""
    taken = spread(rows, TRIED)
    found = explain(version, taken, rooms)
    chosen = found.summary().select("column", "contribution", "low", "high")
    inputs = tuple(Added(column=c, value=v, low=low, high=high) for c, v, low, high in chosen.iter_rows())
    return Explained(inputs=inputs, scale=found.scale, method=found.method, rows=taken.height)


def judged_rows(model: Model, run: Run, rooms: Rooms) -> pl.DataFrame:
    """Return at most 1,000 of the test rows that a run was judged on, spread evenly.

    Raises:
        InvalidInput: there are none.
    """
    if model.data.name not in run.data or run.window is None:
        msg = f"{run.model!r} was measured on no rows here. Give the rows to explain."
        raise InvalidInput(msg, field="rows")
    return spread(judging.test_rows(model, run, rooms), ROWS)


def spread(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return at most so many rows, spread evenly.

    >>> spread(pl.DataFrame({"a": range(9)}), 3)["a"].to_list()
    [0, 4, 8]
    """
    if frame.height <= most:
        return frame
    return frame[np.linspace(0, frame.height - 1, most).astype(np.int64)]


def _columns(frame: pl.DataFrame, signature: Signature) -> dict[str, np.ndarray]:
    """Return encoded rows as arrays, as a model is fed them."""
    return {
        field.name: np.array(frame[field.name].to_list(), dtype=object)
        if field.tensor == "string"
        else frame[field.name].to_numpy()
        for field in signature.inputs
    }
