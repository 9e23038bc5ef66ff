"""Splits: train, validation and test, decided for ever by a stable hash of a row's key or group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.core.hashing import BUCKETS, SCHEME, buckets
from treadle.core.records import SplitSpec

#: The names of the parts, in the order of their buckets.
SPLITS = ("train", "validation", "test")
#: Rows that are looked at to see whether keys come often enough for hashing each only once.
_SAMPLE = 1000


@dataclass(frozen=True)
class HashSplit:
    """Shares of the rows for training, validation and test, as `HashSplit(train=0.8, validation=0.1, test=0.1)`.

    With `group` all rows that agree in that column (or those columns) are on one side; rows without a group count as one group.
    `salt` is the dataset's name unless given: datasets that share keys and salt share their sides.
    """

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    group: str | Sequence[str] | None = None
    salt: str | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        shares = (self.train, self.validation, self.test)
        if any(not 0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-9:
            msg = (
                f"A split of train={self.train}, validation={self.validation}, test={self.test} cannot hold. "
                "Expected three shares from 0 to 1 that add up to 1, as 0.8, 0.1, 0.1."
            )
            raise InvalidDeclaration(msg, field="split")

    def spec(self, dataset: str, *, key: Sequence[str]) -> SplitSpec:
        """Return what is stored with a dataset of that name and key."""
        return SplitSpec(
            scheme=SCHEME,
            salt=self.salt if self.salt is not None else dataset,
            columns=self.groups or tuple(key),
            train_below=round(self.train * BUCKETS),
            validation_below=round((self.train + self.validation) * BUCKETS),
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """The columns of the group; none: the key decides."""
        if self.group is None:
            return ()
        return (self.group,) if isinstance(self.group, str) else tuple(self.group)


def assign(frame: pl.DataFrame, spec: SplitSpec) -> pl.DataFrame:
    """Return the frame with `_bucket` (Int16, 0 to 9,999) and `_split` (`train`, `validation` or `test`).

    Raises:
        InvalidInput: a deciding column is missing or of a type without a stable hash.
    """
    missing = [name for name in spec.columns if name not in frame.columns]
    if missing:
        msg = f"The split needs the column {missing[0]!r}. The rows have: {', '.join(frame.columns)}."
        raise InvalidInput(msg, field=missing[0])
    keys = frame.select(spec.columns)
    sample = keys.head(_SAMPLE)
    if sample.n_unique() <= sample.height // 2:
        distinct = keys.unique(maintain_order=True)
        hashed = distinct.with_columns(_buckets(distinct, spec))
        column = keys.join(hashed, on=keys.columns, how="left", nulls_equal=True, maintain_order="left")[
            "_bucket"
        ]
    else:
        column = _buckets(keys, spec)
    return frame.with_columns(column, side(pl.lit(column), spec).alias("_split"))


def side(bucket: pl.Expr, spec: SplitSpec) -> pl.Expr:
    """Return the expression for the name of the part that a bucket belongs to."""
    return (
        pl.when(bucket < spec.train_below)
        .then(pl.lit("train"))
        .when(bucket < spec.validation_below)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("test"))
    )


def _buckets(frame: pl.DataFrame, spec: SplitSpec) -> pl.Series:
    columns: list[Any] = [_canonical(frame[name]) for name in spec.columns]
    if len(columns) > 1:
        columns = [values if isinstance(values, list) else values.tolist() for values in columns]
    return pl.Series("_bucket", buckets(columns, salt=spec.salt).astype(np.int16))


def _canonical(values: pl.Series) -> npt.NDArray[Any] | list[Any]:
    """Return values whose canonical bytes are those of the column's: integers for moments, days and booleans."""
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime):
        plain = values.dt.cast_time_unit("us").to_physical()
    elif dtype == pl.Date or dtype.is_integer() or dtype == pl.Boolean:
        plain = values.to_physical()
    elif dtype in {pl.String, pl.Null}:
        return values.to_list()
    else:
        msg = (
            f"The column {values.name!r} has the type {dtype}, which cannot be split by hash. "
            "Expected integers, text, booleans, dates or datetimes."
        )
        raise InvalidInput(msg, field=values.name)
    if plain.null_count():
        return plain.cast(pl.Int64).to_list()
    return plain.cast(pl.Int64).to_numpy()
