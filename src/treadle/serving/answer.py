"""The predictions for one request: what callers are told of them, and what the log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from treadle.core.records import Variant
from treadle.serving import mixture
from treadle.serving.answering import plain
from treadle.serving.encoding import micros
from treadle.serving.entries import PredictionEntry
from treadle.serving.requests import Batch

#: Outputs that have columns of their own in the log.
_USUAL = {"prediction", "probability"}
#: Requests that were answered together have one moment.
_micros = lru_cache(maxsize=16)(micros)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions for one request, and where they came from."""

    id: str
    endpoint: str
    revision: int
    variant: Variant
    #: Why this variant.
    assignment: str
    subject: str | None
    keys: list[str] | None
    at: datetime
    #: Seconds since the request came.
    latency: float
    #: How probable it was that this variant would be chosen.
    propensity: float = 1.0
    batch: Batch
    #: `prediction` and what else the signature says; arrays of shape (rows,), or (rows, columns).
    outputs: dict[str, np.ndarray]
    #: By output, what its columns are called, of those that have several.
    columns: dict[str, tuple[str, ...]]
    #: Outputs whose numbers are probabilities of labels, each by itself.
    independent: frozenset[str] = frozenset()
    #: Of several variants that answer together: model, version and name of each, by name.
    members: Mapping[str, tuple[str, int, str]] = {}
    #: The outputs as lists, where they have been made for several requests at once.
    lists: Mapping[str, list[Any]] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer to each row as plain values; several numbers by their columns' names."""
        names = tuple(self.outputs)
        found = [self.values(name) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*found, strict=True)]

    def values(self, name: str) -> list[Any]:
        """Return an output as plain values, one for each row."""
        if self.lists and name in self.lists and name not in self.columns:
            return self.lists[name]
        return plain(self.outputs[name], self.columns.get(name))

    def _sure(self, shares: np.ndarray) -> np.ndarray:
        """Return how probable what is said is; of a set of labels, what is said of the one that is least sure."""
        if "probabilities" in self.independent:
            return np.asarray(np.maximum(shares, 1 - shares).min(axis=1))
        return np.asarray(shares.max(axis=1))

    def entry(self) -> PredictionEntry:
        """Return what the log keeps of it."""
        probability, shares = self.outputs.get("probability"), self.outputs.get("probabilities")
        said, decided = self.outputs["prediction"], self.outputs.get("decision")
        by = self.outputs.get(mixture.VARIANT) if self.members else None
        # A prediction that is text or several numbers, and outputs beside the two usual ones, are kept as JSON.
        number = said.ndim == 1 and said.dtype != object
        usual = number and self.outputs.keys() <= _USUAL
        return PredictionEntry(
            request_id=self.id,
            endpoint=self.endpoint,
            revision=self.revision,
            model=self.variant.model,
            version=self.variant.version,
            variant=self.variant.name,
            assignment=self.assignment,
            subject=self.subject,
            at=_micros(self.at),
            latency=self.latency,
            inputs=self.batch.values,
            keys=self.keys,
            predictions=[float(value) for value in self.values("prediction")]
            if number
            else [None] * self.batch.rows,
            probabilities=None if probability is None else self.values("probability"),
            outputs=None if usual else [msgspec.json.encode(row).decode() for row in self.rows()],
            confidences=None if shares is None else self._sure(shares).tolist(),
            propensity=self.propensity,
            decisions=None if decided is None else decided.tolist(),
            answered_by=None if by is None else [self.members[name] for name in by.tolist()],
        )
