"""Lookup: a baseline's table as JSON, so that even the simplest thing can be registered and served."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from treadle.core.answers import aligned, completed, scored
from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup, from_json, to_json
from treadle.core.signature import Field, Signature
from treadle.registry.format import Example, Saved, Trial

NAME = "lookup"
FILE = "lookup.json"
_MICROSECONDS_A_DAY = 86_400e6


class LookupModel:
    """A table that answers."""

    def __init__(self, table: Lookup, *, signature: Signature) -> None:
        self._table, self._signature = table, signature
        self._fields = [signature.field(name) for name in table.by]

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        return self._signature

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for encoded columns of shape (rows,)."""
        rows = len(next(iter(columns.values())))
        raw = {field.name: _raw(field, columns[field.name]) for field in self._fields}
        found = np.array(self._table.predict(raw, rows), dtype=np.float64)
        wanted, given = scored(self._signature).columns, self._table.columns
        if wanted and given:
            found = aligned(found, given, columns=wanted, source=f"The table {self._table.name!r}")
        return completed(found, self._signature)


def accepts(model: Any) -> bool:
    """Return whether the object is a fitted baseline."""
    return isinstance(model, Lookup)


def save(model: Lookup, *, task: str, signature: Signature, trial: Trial) -> Saved:  # noqa: ARG001 - the protocol's
    """Return the table as one JSON file.

    Raises:
        InvalidInput: it looks up a column that the signature does not have.
    """
    for name in model.by:
        signature.field(name)
    return Saved(format=NAME, files={FILE: to_json(model).encode()})


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> LookupModel:  # noqa: ARG001 - the protocol's
    """Return the table."""
    try:
        table = from_json(files[FILE], Lookup)
    except msgspec.MsgspecError as error:
        msg = f"{FILE} holds no table: {error}"
        raise InvalidInput(msg) from error
    return LookupModel(table, signature=signature)


def example() -> Example:
    """Return the share of late flights of two carriers."""
    table = Lookup(name="prior", by=("carrier",), values={"AA": 0.2, "UA": 0.7}, default=0.4)
    signature = Signature(
        inputs=(Field(name="carrier", kind="string"),),
        outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
    )
    carriers = np.array(["AA", "UA", "unseen"], dtype=object)
    return Example(
        table, "classification", signature, Trial({"carrier": carriers}, np.array([0.2, 0.7, 0.4]))
    )


def _raw(field: Field, values: np.ndarray) -> list[Any]:
    """Return encoded values as they stood in the frame that the table was fitted on."""
    if field.tensor == "string":
        return [None if field.nullable and value == "" else value for value in values]
    known = values.astype(np.float64)
    return [
        None if np.isnan(k) else _raw_number(field, value) for k, value in zip(known, values, strict=True)
    ]


def _raw_number(field: Field, value: Any) -> Any:
    if field.kind == "timestamp":
        micros = int(value) if field.tensor == "int64" else round(float(value) * _MICROSECONDS_A_DAY)
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).replace(tzinfo=None)
    if field.kind == "date":
        return date(1970, 1, 1) + timedelta(days=int(value))
    return {"boolean": bool, "integer": int}.get(field.kind, float)(value)
