"""A part's rows as the model is fed them, all at once; those that do not fit the signature are told apart, with the reason.

The rules are those of a request to the server (`serving.requests`, `serving.encoding`); a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from treadle.core.signature import Field, Signature, encode_series
from treadle.serving.encoding import described

_LARGEST = float(np.finfo(np.float32).max)
#: Texts of fewer rows are not worth a table of them.
_FEW = 1_000
#: How moments may be written; a moment without a zone is taken to be UTC.
_MOMENTS = ("%+", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ")
_YES_AND_NO = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False, "1": True, "0": False}  # fmt: skip


class Sifted:
    """The rows of a part that can be scored, and why the others cannot."""

    def __init__(self, rows: pl.DataFrame, signature: Signature, *, textual: bool) -> None:
        """Look at every value once."""
        typed = {field.name: typed_as(field, rows[field.name], textual=textual) for field in signature.inputs}
        wrong = {f.name: _wrong(f, rows[f.name], typed[f.name]) for f in signature.inputs}
        bad = [mask for mask in wrong.values() if mask is not None]
        self._signature, self._rows, self._wrong = signature, rows, wrong
        #: Whether each row can be scored; None: all can.
        self.fine: pl.Series | None = None if not bad else ~pl.select(pl.any_horizontal(bad)).to_series()
        self._typed = typed if self.fine is None else {n: s.filter(self.fine) for n, s in typed.items()}

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that can be scored, with all their columns."""
        return self._rows if self.fine is None else self._rows.filter(self.fine)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the columns that the model takes, for the rows that can be scored."""
        return {field.name: _encoded(field, self._typed[field.name]) for field in self._signature.inputs}

    def rejected(self) -> pl.DataFrame:
        """Return the other rows, with the reason in the column `_reason`."""
        if self.fine is None:
            return self._rows.clear().with_columns(pl.lit("", dtype=pl.String).alias("_reason"))
        reasons = []
        for field in self._signature.inputs:
            mask = self._wrong[field.name]
            if mask is not None:
                shown = (
                    self._rows[field.name].cast(pl.String, strict=False).fill_null("null").str.slice(0, 60)
                )
                text = pl.format("{} is {}, expected {}", pl.lit(field.name), shown, pl.lit(_expected(field)))
                reasons.append(pl.when(mask).then(text))
        told = pl.concat_str(reasons, separator="; ", ignore_nulls=True).alias("_reason")
        return self._rows.with_columns(told).filter(~self.fine)


def _expected(field: Field) -> str:
    return f"{described(field)}, finite and at most 3.4e38" if field.kind == "float" else described(field)


def typed_as(field: Field, values: pl.Series, *, textual: bool) -> pl.Series:
    """Return a column in the type of its kind; a value that cannot be one is null."""
    if values.dtype == pl.Null:
        return values.cast(_dtype(field))
    if textual and field.kind not in {"string", "category"}:
        values = values.str.strip_chars()
        if field.kind == "boolean":
            return values.replace_strict(_YES_AND_NO, default=None, return_dtype=pl.Boolean)
    if values.dtype == pl.String and field.kind == "timestamp":
        return _moments(values)
    if values.dtype == pl.String and field.kind == "date":
        return values.str.to_date("%Y-%m-%d", strict=False)
    if field.kind == "integer" and not values.dtype.is_integer():
        whole = values.cast(pl.Int64, strict=False)
        return whole if textual else whole.set(whole.cast(values.dtype) != values, None)
    if field.kind == "integer":
        return values.cast(pl.Int64, strict=False)
    if textual and field.kind == "float":
        return values.cast(pl.Float64, strict=False)
    return values


def _moments(values: pl.Series) -> pl.Series:
    found = [values.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)]
    found += [
        values.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
        for form in _MOMENTS[1:]
    ]
    return pl.select(pl.coalesce(found)).to_series().alias(values.name)


def _dtype(field: Field) -> pl.DataType:
    if field.kind == "timestamp":
        return pl.Datetime("us", "UTC")
    if field.kind == "date":
        return pl.Date()
    return {"string": pl.String(), "int64": pl.Int64(), "float32": pl.Float64()}[field.tensor]


def _wrong(field: Field, came: pl.Series, typed: pl.Series) -> pl.Series | None:
    """Return which values do not fit; None: all do."""
    masks: list[pl.Series] = []
    if typed.null_count():
        lost = typed.is_null()
        # A text that is empty stands for nothing, as in every table of text.
        given = came.is_not_null() & (came != "") if came.dtype == pl.String else came.is_not_null()
        masks.append(lost if not field.nullable else lost & given)
    if typed.dtype.is_float() and field.kind == "float":
        size = typed.abs()
        masks.append(((size > _LARGEST) & typed.is_not_nan()).fill_null(value=False))
        if not field.nullable:
            masks.append(typed.is_nan().fill_null(value=False))
    masks = [mask for mask in masks if mask.any()]
    return _any(masks)


def _any(masks: Sequence[pl.Series]) -> pl.Series | None:
    if not masks:
        return None
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return found


def _encoded(field: Field, values: pl.Series) -> np.ndarray:
    """Return a column as an array; a text that comes often is made once."""
    if field.tensor != "string" or len(values) < _FEW:
        return encode_series(field, values)
    texts = values.cast(pl.String).fill_null("")
    known = texts.unique()
    if len(known) > len(texts) // 4:
        return encode_series(field, values)
    held = np.array(known.to_list(), dtype=object)
    return np.asarray(held[texts.cast(pl.Enum(known)).to_physical().to_numpy()])
