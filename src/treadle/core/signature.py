"""What a model takes and gives: named, typed columns, and how a column becomes a tensor.

Training and serving encode a column by the same function, so a model sees the same bits in both places.
Numbers that may be missing, booleans and floats become float32 (missing: NaN); integers that are always there
stay int64; strings and categories become strings (missing: the empty string); a moment becomes the int64 of its
microseconds since 1970 (or float32 days since 1970 where it may be missing).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from treadle.core.answering import Answering
from treadle.core.errors import InvalidInput, closest

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Columns = Mapping[str, np.ndarray]

Kind = Literal["integer", "float", "boolean", "string", "category", "timestamp", "date"]
Tensor = Literal["float32", "int64", "string"]


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column."""

    #: The column's name.
    name: str
    #: What its values are.
    kind: Kind
    #: Whether a value may be missing.
    nullable: bool = False
    #: The values that a category has had in training; others are legal and count as unseen.
    levels: tuple[str, ...] = ()
    #: Of an output of several numbers, what each is called; empty: it is one number.
    columns: tuple[str, ...] = ()
    #: Whether those numbers rise from column to column, as quantiles do: an answer puts them in order.
    rising: bool = False
    #: Whether each of those numbers is the probability of a label by itself, so that they do not add up to 1.
    independent: bool = False
    #: Of an output that is one of the scored numbers, the name of that one's column.
    column: str = ""
    #: Of an output of yes and no, the scored number above which it is yes.
    above: float = 0.5
    #: Of an output that is a set of labels as one text: what stands between them, and the text of no label at all.
    separator: str = ""
    none: str = ""
    #: Of the scored output, the method by which an estimator is asked for it; empty: `predict`, or `predict_proba` of chances.
    method: str = ""
    #: What becomes of what that method gives: its sign is turned, or how much a pipeline stretches space is added.
    turned: Literal["", "negated", "stretched"] = ""

    @property
    def tensor(self) -> Tensor:
        """The type of the tensor that the model is fed."""
        if self.kind in {"string", "category"}:
            return "string"
        if self.kind in {"float", "boolean"} or self.nullable:
            return "float32"
        return "int64"


class OnlineView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A feature view that some inputs are read from, for callers that send the entity instead."""

    view: str
    #: The columns that say whose values they are: one request column each.
    entities: tuple[Field, ...]
    #: The inputs that it gives, and what on-demand features need of it.
    fields: tuple[str, ...]


class Computed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """On-demand features that are computed for callers that send what they are made of instead."""

    #: The name under which the project declares them.
    feature: str
    #: What they are made of: columns of a request, features of views, or what one before gives.
    inputs: tuple[Field, ...]
    #: What they give, as far as it is needed.
    outputs: tuple[Field, ...]
    #: Digest of the declaration that training used.
    definition: str
    #: Inputs that stored rows hold as float32.
    narrow: tuple[str, ...] = ()


class Signature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The inputs that a model takes and the outputs that it gives."""

    #: The columns of a request, in the order in which the model takes them.
    inputs: tuple[Field, ...]
    #: The columns of an answer; the last one is scored, and the others follow from it: see `core.answers`.
    outputs: tuple[Field, ...] = ()
    #: What an answer holds besides; None: nothing.
    answering: Answering | None = None
    #: The feature views that inputs come from.
    views: tuple[OnlineView, ...] = ()
    #: The on-demand features that inputs come from, in the order in which they are computed.
    computed: tuple[Computed, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(field.name for field in self.inputs)

    def field(self, name: str) -> Field:
        """Return one input.

        Raises:
            InvalidInput: no input has that name.
        """
        for found in self.inputs:
            if found.name == name:
                return found
        msg = f"Unknown field {name!r}. {closest(name, self.names)}"
        raise InvalidInput(msg, field=name)

    def encode(self, frame: pl.DataFrame) -> dict[str, np.ndarray]:
        """Turn a frame that has the input columns into one array of shape (rows,) for each input.

        Raises:
            InvalidInput: a column is missing, or holds a null that the field does not allow or a value of another kind.
        """
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            msg = f"Missing column {missing[0]!r}. Expected {', '.join(self.names)}; got {', '.join(frame.columns)}."
            raise InvalidInput(msg, field=missing[0])
        return {field.name: encode_series(field, frame[field.name]) for field in self.inputs}


def encode_series(field: Field, series: pl.Series) -> np.ndarray:
    """Turn one column into an array of shape (rows,) of the field's tensor type.

    Raises:
        InvalidInput: it holds a null that the field does not allow, or values of another kind.
    """
    import polars as pl

    try:
        return _encoded(field, series)
    except pl.exceptions.InvalidOperationError as error:
        msg = f"Column {field.name!r} is {series.dtype}, and a value of it is no {field.kind}: {str(error).splitlines()[0]}"
        raise InvalidInput(msg, field=field.name) from error


def _encoded(field: Field, series: pl.Series) -> np.ndarray:
    import polars as pl

    if not field.nullable and series.null_count():
        row = int(series.is_null().arg_true()[0])
        msg = f"Column {field.name!r} has no value in row {row}. Expected {field.kind}, never missing."
        raise InvalidInput(msg, field=field.name)
    if field.tensor == "string":
        return series.cast(pl.String).fill_null("").to_numpy().astype(object)
    if field.kind == "timestamp":
        micros = series.cast(
            pl.Datetime("us", "UTC") if _has_zone(series) else pl.Datetime("us")
        ).to_physical()
        if field.tensor == "int64":
            return micros.to_numpy()
        return (micros.cast(pl.Float64) / 86_400e6).cast(pl.Float32).fill_null(float("nan")).to_numpy()
    if field.kind == "date":
        series = series.cast(pl.Date).to_physical()
    if field.tensor == "int64":
        return series.cast(pl.Int64).to_numpy()
    return series.cast(pl.Float32).fill_null(float("nan")).to_numpy()


def decode_frame(fields: Sequence[Field], columns: Columns) -> pl.DataFrame:
    """Return encoded arrays as a frame, as training functions and native models get it."""
    import polars as pl

    types = {"string": pl.String, "float32": pl.Float32, "int64": pl.Int64}
    return pl.DataFrame(
        {
            f.name: pl.Series(
                f.name,
                list(columns[f.name]) if f.tensor == "string" else columns[f.name],
                dtype=types[f.tensor],
            )
            for f in fields
        }
    )


def field_of(series: pl.Series, *, nullable: bool | None = None) -> Field:
    """Return the field that describes a column; `nullable` defaults to whether it holds a null."""
    import polars as pl

    dtype: Any = series.dtype
    may_miss = bool(series.null_count()) if nullable is None else nullable
    if dtype.is_integer():
        kind: Kind = "integer"
    elif dtype.is_float():
        kind, may_miss = "float", may_miss or bool(series.is_nan().any())
    elif dtype == pl.Boolean:
        kind = "boolean"
    elif dtype == pl.Date:
        kind = "date"
    elif isinstance(dtype, pl.Datetime):
        kind = "timestamp"
    elif isinstance(dtype, pl.Categorical | pl.Enum):
        levels = tuple(sorted(str(level) for level in series.drop_nulls().unique()))
        return Field(name=series.name, kind="category", nullable=may_miss, levels=levels)
    elif dtype == pl.String:
        kind = "string"
    else:
        msg = (
            f"Column {series.name!r} has the type {dtype}, which a model cannot take. Expected integers, floats, "
            "booleans, strings, categories, dates or datetimes."
        )
        raise InvalidInput(msg, field=series.name)
    return Field(name=series.name, kind=kind, nullable=may_miss)


def _has_zone(series: pl.Series) -> bool:
    return getattr(series.dtype, "time_zone", None) is not None
