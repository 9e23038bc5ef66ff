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
from treadle.serving.given import Given
from treadle.serving.requests import Batch

#: Requests that were answered together have one moment.
_micros = lru_cache(maxsize=16)(micros)


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The predictions for one request, and where they came from.

    Made by place and not by name, which takes a tenth of the time with so many fields.
    """

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
    batch: Batch
    #: `prediction` and what else the signature says.
    outputs: Given
    #: By output, what its columns are called, of those that have several.
    columns: dict[str, tuple[str, ...]]
    #: How probable it was that this variant would be chosen.
    propensity: float = 1.0
    #: Outputs whose numbers are probabilities of labels, each by itself.
    independent: frozenset[str] = frozenset()
    #: Of several variants that answer together: model, version and name of each, by name.
    members: Mapping[str, tuple[str, int, str]] = {}

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer to each row as plain values; several numbers by their columns' names."""
        names = self.outputs.names
        found = [self.values(name) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*found, strict=True)]

    def values(self, name: str) -> list[Any]:
        """Return an output as plain values, one for each row."""
        values = self.outputs.plain(name)
        return plain(self.outputs[name], self.columns.get(name)) if values is None else values

    def _sure(self, shares: np.ndarray) -> np.ndarray:
        """Return how probable what is said is; of a set of labels, what is said of the one that is least sure."""
        if "probabilities" in self.independent:
            return np.asarray(np.maximum(shares, 1 - shares).min(axis=1))
        return np.asarray(shares.max(axis=1))

    def entry(self) -> PredictionEntry:
        """Return what the log keeps of it."""
        outputs, variant = self.outputs, self.variant
        number = outputs.usual or _is_number(outputs["prediction"])
        entry = PredictionEntry(
            self.id,
            self.endpoint,
            self.revision,
            variant.model,
            variant.version,
            variant.name,
            self.assignment,
            self.subject,
            _micros(self.at),
            self.latency,
            self.batch.values,
            self.keys,
            list(map(float, self.values("prediction"))) if number else [None] * self.batch.rows,
            self.values("probability") if "probability" in outputs else None,
            propensity=self.propensity,
        )
        return entry if outputs.usual else self._with_more(entry)

    def _with_more(self, entry: PredictionEntry) -> PredictionEntry:
        """Add what is kept where an answer holds more than a number and its probability."""
        outputs = self.outputs
        shares, decided = outputs.get("probabilities"), outputs.get("decision")
        by = outputs.get(mixture.VARIANT) if self.members else None
        return msgspec.structs.replace(
            entry,
            # A prediction that is text or several numbers, and outputs beside the two usual ones, are kept as JSON.
            outputs=[msgspec.json.encode(row).decode() for row in self.rows()],
            confidences=None if shares is None else self._sure(shares).tolist(),
            decisions=None if decided is None else decided.tolist(),
            answered_by=None if by is None else [self.members[name] for name in by.tolist()],
        )


def _is_number(said: np.ndarray) -> bool:
    return said.ndim == 1 and said.dtype.kind != "O"
