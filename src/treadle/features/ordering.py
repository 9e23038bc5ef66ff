"""Values as whole numbers in the same order, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.features.entities import Coding

Whole = npt.NDArray[np.int64]
#: Keys, and the function that makes values of keys.
Keys = tuple[Whole, Callable[[Whole], pl.Series]]
_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def has_order(dtype: pl.DataType) -> bool:
    """Say whether values of a type can be compared, and have keys."""
    if dtype.is_decimal() or dtype in (pl.Int128, pl.UInt128):
        return False
    return dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean or isinstance(dtype, _TEXTS)


def ascending(values: pl.Series) -> Keys:
    """Return keys in the order of the values; there is no null and no NaN among them."""
    dtype = values.dtype
    if isinstance(dtype, _TEXTS):
        return _of_texts(values)
    if dtype.is_float():
        return _of_floats(values)
    if dtype == pl.UInt64:
        # The highest bit turned over: what is below the middle becomes negative.
        keys = values.to_numpy().view(np.int64) ^ np.iinfo(np.int64).min
        return keys, lambda found: pl.Series((found ^ np.iinfo(np.int64).min).view(np.uint64))
    physical = values.to_physical().dtype
    keys = values.to_physical().cast(pl.Int64).to_numpy()
    return keys, lambda found: pl.Series(found).cast(physical, strict=False).cast(dtype)


def groups(values: pl.Series) -> Whole:
    """Return a small number for each value, the same for equal ones."""
    plain = ascending(values)[0] if has_order(values.dtype) and not isinstance(values.dtype, _TEXTS) else None
    frame = pl.DataFrame({"value": values if plain is None else plain})
    return Coding(frame).codes(frame).astype(np.int64)


def _of_floats(values: pl.Series) -> Keys:
    """Return the bits of doubles as numbers; those of negative ones stand in the opposite order, and are turned over."""
    bits = (values.cast(pl.Float64).to_numpy() + 0.0).view(np.int64)

    def turned(some: Whole) -> Whole:
        return some ^ ((some >> 63) & np.iinfo(np.int64).max)

    return turned(bits), lambda found: pl.Series(turned(found).view(np.float64)).cast(values.dtype)


def _of_texts(values: pl.Series) -> Keys:
    texts = values.cast(pl.String)
    known = texts.unique().sort()
    keys = texts.to_frame("value").join(
        known.to_frame("value").with_row_index("key"), on="value", how="left", maintain_order="left"
    )
    last = max(len(known) - 1, 0)

    def back(found: Whole) -> pl.Series:
        if not len(known):
            return pl.Series(values=[None] * len(found), dtype=values.dtype)
        return known.gather(np.clip(found, 0, last)).cast(values.dtype)

    return keys["key"].cast(pl.Int64).to_numpy(), back
