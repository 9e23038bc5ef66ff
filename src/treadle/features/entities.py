"""Entities as small whole numbers, the same on the side that asks and on the side that answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput

#: The number of an entity that is null, or that nobody asks about.
NOBODY = -1
#: How many numbers may be left out between those in use, for each row that asks.
_SPARE = 4
Codes = npt.NDArray[np.int32]


class Coding:
    """Numbers for the entities that some rows ask about; every other entity is `NOBODY`.

    >>> coding = Coding(pl.DataFrame({"origin": ["JFK", "EWR", "JFK"]}))
    >>> coding.codes(pl.DataFrame({"origin": ["LGA", "JFK", None]})).tolist()[::2]
    [-1, -1]
    """

    def __init__(self, asked: pl.DataFrame) -> None:
        self._names = asked.columns
        self._first, self._count = _compact(asked)
        self._table = pl.DataFrame()
        if not self._count:
            self._table = asked.drop_nulls().unique(maintain_order=True).with_row_index("code")
            self._table = self._table.with_columns(pl.col("code").cast(pl.Int32))
            self._count = self._table.height

    @property
    def count(self) -> int:
        """One more than the highest number."""
        return self._count

    def codes(self, frame: pl.DataFrame) -> Codes:
        """Return the number of each row's entity, in an array of the caller's own."""
        if self._table.is_empty():
            return self._offsets(frame[self._names[0]]) if self._count else _nobody(frame.height)
        found = frame.join(self._table, on=self._names, how="left", maintain_order="left")
        return found["code"].fill_null(NOBODY).rechunk().to_numpy(writable=True)

    def _offsets(self, column: pl.Series) -> Codes:
        whole = np.asarray(column.fill_null(0).rechunk().to_numpy(), dtype=np.int64)
        # As unsigned numbers whatever is below the first, or so far above that it wraps round, is too large.
        apart = (whole - self._first).view(np.uint64)
        codes = np.where(apart < self._count, apart, 0).astype(np.int32)
        codes[apart >= self._count] = NOBODY
        if column.null_count():
            codes[column.is_null().to_numpy()] = NOBODY
        return codes


def comparable(
    asked: pl.DataFrame, offered: pl.DataFrame, *, names: Sequence[str], view: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the entity columns of both sides in types that can be compared.

    Raises:
        InvalidInput: a column's types on the two sides are not of one kind.
    """
    left, right = asked.select(names), offered.select(names)
    for name in names:
        common = _common(left[name].dtype, right[name].dtype)
        if common is None:
            msg = (
                f"The entity {name!r} is {left[name].dtype} in the rows and {right[name].dtype} in feature view "
                f"{view!r}, so no value would ever be found. Give both the same type."
            )
            raise InvalidInput(msg, field=name)
        left, right = left.cast({name: common}), right.cast({name: common})
    return left, right


def _common(left: pl.DataType, right: pl.DataType) -> pl.DataType | None:
    if pl.Null in (left, right):
        return right if left == pl.Null else left
    if left.is_integer() and right.is_integer():
        wide = {pl.UInt64, pl.Int128, pl.UInt128}
        return pl.Int128() if wide & {left.base_type(), right.base_type()} else pl.Int64()
    if all(isinstance(dtype, pl.String | pl.Categorical | pl.Enum) for dtype in (left, right)):
        return pl.String()
    return left if left == right else None


def _compact(asked: pl.DataFrame) -> tuple[int, int]:
    """Return the first and the count of a single column's integers, where hardly any between them are left out."""
    if asked.width != 1 or asked.to_series().dtype != pl.Int64:
        return 0, 0
    least, most = asked.to_series().min(), asked.to_series().max()
    if not isinstance(least, int) or not isinstance(most, int):
        return 0, 0
    count = most - least + 1
    return (least, count) if count <= _SPARE * asked.height + 2**16 else (0, 0)


def _nobody(height: int) -> Codes:
    return np.full(height, NOBODY, dtype=np.int32)
