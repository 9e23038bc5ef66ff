"""Files that a batch scores and that lack on-demand features, but have what these are made of: they are added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from treadle.app.features import declared_as
from treadle.app.wiring import Wiring
from treadle.core.errors import InvalidInput
from treadle.core.signature import Computed, Signature
from treadle.features.on_demand import OnDemand
from treadle.serving.batch import inputs
from treadle.serving.batch.inputs import Input
from treadle.serving.batch.rows import typed_as

_MOMENT = "%Y-%m-%dT%H:%M:%S%.6fZ"


class Adding:
    """Adds the on-demand features of a version to files."""

    def __init__(self, workspace: Wiring, model: str, signature: Signature) -> None:
        """Take what a version was trained with; the project is looked at where a file needs it."""
        self._workspace, self._model, self._signature = workspace, model, signature
        #: What tells rows with these features from rows as they came.
        self.identity: dict[str, Any] = {"computed": [one.definition for one in signature.computed]}

    def added(self, one: Input, *, spool: Path) -> Input:
        """Return a file with the features that it lacks, in `spool`; as it is where it lacks none, or what they are made of.

        Raises:
            InvalidInput: a value is not of the type of what a feature is made of.
            NotFound, Conflict: the project does not declare a feature as it was in training.
        """
        steps = _lacking(self._signature, [name for name, _ in one.columns])
        if not steps:
            return one
        features = [(step, declared_as(self._workspace, self._model, step)) for step in steps]
        rows = pl.scan_parquet(one.file, glob=False)

        def add(frame: pl.DataFrame) -> pl.DataFrame:
            for step, feature in features:
                frame = _with(frame, step, feature, textual=one.textual)
            return frame

        schema = add(rows.head(0).collect()).schema
        with_features = rows.map_batches(add, schema=schema, streamable=True)
        place = inputs.spooled(with_features, spool)
        return inputs.described_as(
            place.absolute(), shown=one.shown, identity=one.identity | self.identity, textual=one.textual
        )


def _lacking(signature: Signature, columns: Sequence[str]) -> list[Computed]:
    """Return the features of which a column is not there, and of which all is there that they are made of."""
    there, found = set(columns), []
    for one in signature.computed:
        given = {field.name for field in one.outputs}
        if not given <= there and {field.name for field in one.inputs} <= there:
            found.append(one)
            there |= given
    return found


def _with(frame: pl.DataFrame, step: Computed, feature: OnDemand, *, textual: bool) -> pl.DataFrame:
    """Return rows with what they lack of a feature; in files of text as text."""
    read = []
    for field in step.inputs:
        values = typed_as(field, frame[field.name], textual=textual)
        lost = values.is_null() & frame[field.name].is_not_null()
        if frame[field.name].dtype == pl.String:
            lost = lost & (frame[field.name] != "")
        if lost.any():
            came = frame[field.name].filter(lost)[0]
            msg = f"Column {field.name!r} holds {came!r}, of which {feature.name!r} is made. Expected {field.kind}."
            raise InvalidInput(msg, field=field.name)
        narrowed = values.cast(pl.Float32).cast(pl.Float64) if field.name in step.narrow else values
        read.append(narrowed.alias(field.name))
    made = feature.computed(feature.read(pl.DataFrame(read)))
    lacks = [made[field.name] for field in step.outputs if field.name not in frame.columns]
    return frame.with_columns(_as_text(one) if textual else one for one in lacks)


def _as_text(values: pl.Series) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.strftime(_MOMENT)
    return values.cast(pl.String)
