"""What a batch leaves in the prediction log, where it is asked to: one prediction for each row, as if it had been a request.

They are told apart by the variant `batch`, for which no lot was drawn: guards of rollouts and bandits leave them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.ids import canonical
from treadle.serving import mixture
from treadle.serving.answering import plain
from treadle.serving.discretion import ALWAYS, Discretion, in_sample
from treadle.serving.frames import COMMIT, PREDICTIONS
from treadle.store.tables.tables import Tables

VARIANT = "batch"
_USUAL = {"prediction", "probability"}
_TEXT = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Logging:
    """What is said of all rows of a batch, and what may be said of each."""

    endpoint: str
    revision: int
    model: str
    version: int
    at: datetime
    #: Columns by which outcomes will be found.
    key: tuple[str, ...] = ()
    #: Of versions that answer together, model and version by variant.
    members: tuple[tuple[str, str, int], ...] = ()
    discretion: Discretion | None = None

    @property
    def table(self) -> str:
        """The table of the log."""
        return f"predictions/{self.endpoint}"

    def frame(
        self,
        rows: pl.DataFrame,
        outputs: dict[str, np.ndarray],
        *,
        inputs: list[str],
        columns: dict[str, tuple[str, ...]],
        name: str,
    ) -> pl.DataFrame:
        """Return the log of some rows; `inputs` are the columns that the model takes, `name` is what no other rows have."""
        held, count = self.discretion or Discretion(), rows.height
        requests = [f"{name}-{row}" for row in range(count)]
        said = {key: plain(values, columns.get(key) or None) for key, values in outputs.items()}
        prediction, probability = outputs["prediction"], said.get("probability")
        is_number = prediction.ndim == 1 and prediction.dtype != object
        told = None if is_number and outputs.keys() <= _USUAL else _records(said)
        decisions = said.get("decision")
        chosen = self._answered_by(said, count)
        made: dict[str, Any] = {
            "prediction_id": [f"{request}-0" for request in requests],
            "request_id": requests,
            "row": [0] * count,
            "endpoint": [self.endpoint] * count,
            "revision": [self.revision] * count,
            "model": [model for model, _ in chosen],
            "version": [version for _, version in chosen],
            "variant": [VARIANT] * count,
            "assignment": ["a row of a batch"] * count,
            "subject": [None] * count,
            "at": [self.at] * count,
            "key": self._keys(rows, held),
            "inputs": _texts(held.inputs({n: rows[n].to_list() for n in inputs}), count),
            "prediction": [float(value) for value in said["prediction"]] if is_number else [None] * count,
            "probability": probability or [None] * count,
            "confidence": _confidence(outputs),
            "latency": [0.0] * count,
            "outputs": told or [None] * count,
            "propensity": [1.0] * count,
            "shadow": [False] * count,
            "sampled": [1.0] * count,
            "decision": decisions or [None] * count,
        }
        frame = pl.DataFrame([pl.Series(n, made[n], dtype=kind) for n, kind in PREDICTIONS.items()])
        if held.fraction >= 1:
            return frame
        always = pl.col("decision").is_in(list(ALWAYS)).fill_null(value=False)
        sampled = frame.with_columns(pl.when(always).then(1.0).otherwise(held.fraction).alias("sampled"))
        return sampled.filter(always | pl.Series(in_sample(requests, held.fraction)))

    def _answered_by(self, said: dict[str, list[Any]], count: int) -> list[tuple[str, int]]:
        by = said.get(mixture.VARIANT) if self.members else None
        if by is None:
            return [(self.model, self.version)] * count
        known = {name: (model, version) for name, model, version in self.members}
        return [known[name] for name in by]

    def _keys(self, rows: pl.DataFrame, held: Discretion) -> list[str | None]:
        if not self.key:
            return [None] * rows.height
        found = rows.select(self.key).iter_rows(named=True)
        return [held.key(canonical(one).decode()) for one in found]


def deliver(tables: Tables, table: str, frame: pl.DataFrame, *, sender: str, number: int) -> None:
    """Add rows to the log, exactly once; columns that a table of an earlier release lacks are added."""
    if tables.exists(table):
        there = tables.schema(table)
        missing = {name: kind for name, kind in frame.schema.items() if name not in there}
        if missing:
            tables.extend(table, missing)
    tables.deliver(table, frame, sender=sender, number=number, stamp=COMMIT)


def _records(said: dict[str, list[Any]]) -> list[str]:
    """Return answers as JSON, as callers of a server get them."""
    rows = zip(*said.values(), strict=True)
    return [_TEXT(dict(zip(said, row, strict=True))).decode() for row in rows]


def _texts(inputs: dict[str, Sequence[Any]], count: int) -> list[str]:
    if not inputs:
        return ["{}"] * count
    return [_TEXT(dict(zip(inputs, row, strict=True))).decode() for row in zip(*inputs.values(), strict=True)]


def _confidence(outputs: dict[str, np.ndarray]) -> list[float | None]:
    """Return how probable the predicted class is; of a set of labels nothing is said."""
    if (shares := outputs.get("probabilities")) is not None:
        return [float(value) for value in shares.max(axis=1)]
    if (sure := outputs.get("probability")) is not None:
        return [float(value) for value in np.maximum(sure, 1 - sure)]
    return [None] * len(outputs["prediction"])
