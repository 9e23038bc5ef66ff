"""Training-serving skew: where features that were served differ from what the offline join gives for the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Record

#: Relative difference up to which numbers count as equal: serving works with 32-bit floats (decision 0005).
TOLERANCE = 1e-6
_DIFFERS, _SERVED, _OFFLINE = "_differs", "_served", "_offline"


class Example(Record, frozen=True, kw_only=True):
    """One value that differs."""

    #: Whose value it is, and when: the columns that were asked for.
    row: dict[str, Any]
    served: Any
    offline: Any


class ColumnSkew(Record, frozen=True, kw_only=True):
    """How far the served values of one feature differ from the offline ones."""

    column: str
    #: Rows that were compared, and how many of them differ.
    rows: int
    differing: int
    #: Of the differing: nothing was served where there is a value offline, and the other way round.
    not_served: int
    only_served: int
    examples: tuple[Example, ...] = ()

    @property
    def share(self) -> float:
        """The share of rows that differ; 0 where there are none."""
        return self.differing / self.rows if self.rows else 0.0


def skew(
    served: pl.DataFrame,
    offline: pl.DataFrame,
    *,
    columns: Sequence[str],
    shown: Sequence[str] = (),
    tolerance: float = TOLERANCE,
    examples: int = 5,
) -> list[ColumnSkew]:
    """Compare features row by row, the worst column first; `shown` are columns of `served` that examples are told by.

    Null and NaN are equal to each other. Served values may be of the types that they had in JSON: moments as ISO 8601
    text, whole numbers as floating-point numbers.

    >>> served = pl.DataFrame({"origin": ["JFK", "EWR"], "temp": [1.0, None]})
    >>> offline = pl.DataFrame({"temp": [1.0, 2.0]})
    >>> skew(served, offline, columns=["temp"])[0].share
    0.5

    Raises:
        InvalidInput: the frames are not of one height, or a column is missing.
    """
    if served.height != offline.height:
        msg = f"{served.height} served rows cannot be compared with {offline.height} offline. Expected the same rows."
        raise InvalidInput(msg)
    for frame, name in [(frame, name) for frame in (served, offline) for name in columns]:
        if name not in frame.columns:
            msg = f"There is no feature {name!r} to be compared. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field=name)
    found = [_compared(served, offline[name], shown, tolerance, examples) for name in columns]
    return sorted(found, key=lambda one: (-one.differing, one.column))


def _compared(
    served: pl.DataFrame, offline: pl.Series, shown: Sequence[str], tolerance: float, examples: int
) -> ColumnSkew:
    was, now = _comparable(served[offline.name], offline)
    pairs = pl.DataFrame({_SERVED: was, _OFFLINE: now})
    one_sided = pl.col(_SERVED).is_null() != pl.col(_OFFLINE).is_null()
    differs = (one_sided | _unequal(now.dtype, tolerance).fill_null(value=False)).alias(_DIFFERS)
    differing = pairs.with_columns(served.select(shown)).filter(differs)
    told = differing.head(examples)
    return ColumnSkew(
        column=offline.name,
        rows=served.height,
        differing=differing.height,
        not_served=differing[_SERVED].null_count(),
        only_served=differing[_OFFLINE].null_count(),
        examples=tuple(
            Example(row=row, served=value, offline=other)
            for row, value, other in zip(
                told.select(shown).to_dicts() or [{}] * told.height,
                told[_SERVED],
                told[_OFFLINE],
                strict=True,
            )
        ),
    )


def _unequal(dtype: pl.DataType, tolerance: float) -> pl.Expr:
    was, now = pl.col(_SERVED), pl.col(_OFFLINE)
    if not dtype.is_float():
        return was != now
    # Two infinities of one sign differ by what is no number.
    far = (was - now).abs() > tolerance * pl.max_horizontal(was.abs(), now.abs())
    return (was != now) & (was.is_infinite() | now.is_infinite() | far)


def _comparable(served: pl.Series, offline: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return both in one type, without NaN; what cannot be read as the offline type is null."""
    kind = offline.dtype
    if kind.is_float() or (served.dtype.is_float() and (kind.is_numeric() or kind == pl.Boolean)):
        return _number(served), _number(offline)
    if isinstance(kind, pl.Categorical | pl.Enum):
        kind = pl.String()
    if served.dtype == pl.String and isinstance(kind, pl.Datetime):
        return served.str.to_datetime(time_unit="us", time_zone="UTC", strict=False), offline.cast(
            pl.Datetime("us", "UTC")
        )
    if served.dtype == pl.String and kind == pl.Date:
        return served.str.to_date(strict=False), offline
    return served.cast(kind, strict=False), offline.cast(kind)


def _number(values: pl.Series) -> pl.Series:
    return values.cast(pl.Float64, strict=False).fill_nan(None)
