"""Which on-demand features a server can compute for callers: those whose columns can be sent, or read from views."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.signature import Computed, Field, field_of
from treadle.features.on_demand import OnDemand
from treadle.loop.models import Model
from treadle.training.data import TrainingData


def computed(model: Model, data: TrainingData, *, nullable: Collection[str]) -> tuple[Computed, ...]:
    """Return the on-demand features that inputs come from, in order.

    What is made of a list or an embedding that no request can send is left out: such inputs are the caller's. `nullable`
    are columns that may be missing at serving time.
    """
    fields = _Fields(data, nullable)
    return tuple(
        Computed(
            feature=feature.name,
            inputs=tuple(map(fields.of, feature.input_types)),
            outputs=tuple(fields.of(name) for name in feature.output_names if name in wanted),
            definition=feature.definition(),
            narrow=tuple(name for name in feature.input_types if fields.frame[name].dtype == pl.Float32),
        )
        for feature, wanted in _needed(_sendable(model.on_demand, fields), data.inputs)
    )


class _Fields:
    """The fields of all columns that a model's rows have."""

    def __init__(self, data: TrainingData, nullable: Collection[str]) -> None:
        self.frame, self._data, self._nullable = data.train.frame, data, nullable

    def of(self, name: str) -> Field:
        """Return the field of a column.

        Raises:
            InvalidInput: no request can hold such a value.
        """
        if name in self._data.inputs:
            return self._data.signature.field(name)
        frames = (self.frame, self._data.validation.frame)
        may_miss = name in self._nullable or any(frame[name].null_count() for frame in frames)
        return msgspec.structs.replace(field_of(self.frame[name], nullable=may_miss), levels=())


def _sendable(features: Sequence[OnDemand], fields: _Fields) -> list[OnDemand]:
    """Return the features whose columns have values that requests can hold."""
    found, beyond = [], set[str]()
    for feature in features:
        columns = (*feature.input_types, *feature.output_names)
        if all(name not in beyond and _is_plain(name, fields) for name in columns):
            found.append(feature)
        else:
            beyond.update(feature.output_names)
    return found


def _is_plain(name: str, fields: _Fields) -> bool:
    if name not in fields.frame.columns:  # rows of a sample have the inputs of the model only
        return False
    try:
        fields.of(name)
    except InvalidInput:
        return False
    return True


def _needed(features: Sequence[OnDemand], inputs: Collection[str]) -> list[tuple[OnDemand, set[str]]]:
    """Return the features of which something is needed, in order, each with what is needed."""
    wanted, found = set(inputs), []
    for feature in reversed(features):
        if given := wanted & set(feature.output_names):
            found.append((feature, given))
            wanted |= set(feature.input_types)
    return found[::-1]
