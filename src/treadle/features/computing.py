"""On-demand features of plain values, as requests bring them: the same code and the same numbers as for frames."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from treadle.core.errors import FeatureFailed, InvalidInput
from treadle.core.signature import Computed, Field
from treadle.features.on_demand import OnDemand

Values = Mapping[str, Sequence[Any]]
_TYPES: dict[str, pl.DataType] = {
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
    "category": pl.String(),
    "date": pl.Date(),
}
_EPOCH, _MICRO = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_LONGEST = 300


def computer(feature: OnDemand, computed: Computed) -> Callable[[Values], dict[str, list[Any]]]:
    """Return what computes a feature of columns of plain values (None: missing), one value for each row.

    It raises `InvalidInput` where a value is not of the declared type, and `FeatureFailed` where the computation fails.
    """
    fields = [(field, field.name in computed.narrow) for field in computed.inputs]
    names = [field.name for field in computed.outputs]

    def compute(values: Values) -> dict[str, list[Any]]:
        rows = pl.DataFrame([_column(field, values[field.name], narrow=narrow) for field, narrow in fields])
        read = feature.read(rows)
        try:
            made = feature.computed(read)
        except InvalidInput as error:
            raise FeatureFailed(str(error)) from error
        except Exception as error:
            raise FeatureFailed(_told(feature, error)) from error
        return {name: made[name].to_list() for name in names}

    return compute


def _column(field: Field, values: Sequence[Any], *, narrow: bool) -> pl.Series:
    """Return values in the type that stored rows have."""
    try:
        if field.kind == "timestamp":
            micros = [None if value is None else _micros(value) for value in values]
            return pl.Series(field.name, micros, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
        column = pl.Series(field.name, values, dtype=_TYPES[field.kind])
    except (OverflowError, TypeError) as error:
        msg = f"Field {field.name!r} holds a value that is no {field.kind} of 64 bits."
        raise InvalidInput(msg, field=field.name) from error
    return column.cast(pl.Float32) if narrow else column


def _micros(moment: datetime) -> int:
    """Return the microseconds since 1970; a moment without a zone is taken to be UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICRO


def _told(feature: OnDemand, error: Exception) -> str:
    """Return what a computation raised, and in which line of which file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    own = [one for one in traceback.extract_tb(error.__traceback__) if "site-packages" not in one.filename]
    where = (own or [last])[-1]
    said = (str(error).splitlines() or [""])[0][:_LONGEST]
    line = f"{Path(where.filename).name}, line {where.lineno}"
    return f"On-demand feature {feature.name!r} raised {type(error).__name__}: {said} ({line})."
