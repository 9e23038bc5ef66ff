"""Splits: train, validation and test, decided for ever by a stable hash of a row's key or group, or by its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.clock import parse_span, utc
from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.core.hashing import BUCKETS, SCHEME, bucket, buckets, seed_of
from treadle.core.records import SplitSpec

#: The names of the parts, in the order of their buckets.
SPLITS = ("train", "validation", "test")
#: The scheme of a split by time, and the part of rows that are too near a boundary to belong to any.
TIME_SCHEME = "time-v1"
EMBARGO = "embargo"
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

    def spec(self, dataset: str, *, key: Sequence[str], time: str | None = None) -> SplitSpec:  # noqa: ARG002 - for splits by time
        """Return what is stored with a dataset of that name, key and time."""
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


@dataclass(frozen=True)
class TimeSplit:
    """Parts that follow one another in time, as `TimeSplit(validation="2013-09-01", test="2013-10-01", embargo="7d")`.

    Rows are validation from the first moment on and test from the second one on (UTC), so only the test part grows. Rows in
    the stretch `embargo` before each of the two belong to no part: what happens to them may reach over the boundary.
    """

    validation: str | date
    test: str | date
    embargo: str = "0s"

    def __post_init__(self) -> None:
        """Check what was declared."""
        if self._moments[0] >= self._moments[1]:
            msg = (
                f"TimeSplit(validation={self.validation!r}, test={self.test!r}) cannot hold. Expected the moment of "
                "validation before that of test."
            )
            raise InvalidDeclaration(msg, field="split")
        if parse_span(self.embargo) < timedelta(0):
            msg = f"TimeSplit(embargo={self.embargo!r}) cannot hold. Expected a span such as '7d'."
            raise InvalidDeclaration(msg, field="split")

    def spec(self, dataset: str, *, key: Sequence[str], time: str | None = None) -> SplitSpec:  # noqa: ARG002 - for splits by hash
        """Return what is stored with a dataset of that time.

        Raises:
            InvalidDeclaration: the dataset has no time.
        """
        if time is None:
            msg = f"Dataset {dataset!r} is split by time and has none. Declare it, as time='scheduled_departure'."
            raise InvalidDeclaration(msg, field="time")
        return SplitSpec(
            scheme=TIME_SCHEME,
            salt="",
            columns=(time,),
            train_below=0,
            validation_below=0,
            validation_from=self._moments[0],
            test_from=self._moments[1],
            embargo=parse_span(self.embargo).total_seconds(),
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """No column besides the time decides."""
        return ()

    @property
    def _moments(self) -> tuple[datetime, datetime]:
        return _moment(self.validation), _moment(self.test)


def _moment(value: str | date) -> datetime:
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, date):
        return utc(datetime.combine(value, time.min))
    try:
        return utc(datetime.fromisoformat(value))
    except (TypeError, ValueError) as error:
        msg = f"{value!r} is no moment. Expected ISO 8601, as '2013-10-01' or '2013-10-01T05:00:00Z'."
        raise InvalidDeclaration(msg, field="split") from error


def assign(frame: pl.DataFrame, spec: SplitSpec) -> pl.DataFrame:
    """Return the frame with `_bucket` (Int16, 0 to 9,999) and `_split` (`train`, `validation` or `test`).

    Raises:
        InvalidInput: a deciding column is missing or of a type without a stable hash.
    """
    missing = [name for name in spec.columns if name not in frame.columns]
    if missing:
        msg = f"The split needs the column {missing[0]!r}. The rows have: {', '.join(frame.columns)}."
        raise InvalidInput(msg, field=missing[0])
    if spec.scheme == TIME_SCHEME:
        return frame.with_columns(
            pl.lit(None, dtype=pl.Int16).alias("_bucket"), _by_time(spec).alias("_split")
        )
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
    return frame.with_columns(column, side(column, spec).alias("_split"))


def side(buckets: pl.Series, spec: SplitSpec) -> pl.Series:
    """Return the name of the part that each bucket belongs to."""
    place = (buckets >= spec.train_below).cast(pl.UInt32) + (buckets >= spec.validation_below).cast(pl.UInt32)
    return pl.Series(SPLITS).gather(place)


def _by_time(spec: SplitSpec) -> pl.Expr:
    """Return the expression for the name of the part that a row belongs to by its time; rows without one are in none."""
    at, embargo = pl.col(spec.columns[0]), timedelta(seconds=spec.embargo)
    validation, test = pl.lit(spec.validation_from), pl.lit(spec.test_from)
    return (
        pl.when(at >= test)
        .then(pl.lit("test"))
        .when(at >= test - embargo)
        .then(pl.lit(EMBARGO))
        .when(at >= validation)
        .then(pl.lit("validation"))
        .when(at >= validation - embargo)
        .then(pl.lit(EMBARGO))
        .when(at.is_not_null())
        .then(pl.lit("train"))
        .otherwise(pl.lit(EMBARGO))
    )


def _buckets(frame: pl.DataFrame, spec: SplitSpec) -> pl.Series:
    if len(spec.columns) == 1 and frame.schema[spec.columns[0]] == pl.String:
        return _of_texts(frame[spec.columns[0]], salt=spec.salt)
    columns: list[Any] = [_canonical(frame[name]) for name in spec.columns]
    if len(columns) > 1:
        columns = [values if isinstance(values, list) else values.tolist() for values in columns]
    return pl.Series("_bucket", buckets(columns, salt=spec.salt).astype(np.int16))


def _of_texts(texts: pl.Series, *, salt: str) -> pl.Series:
    """Return the buckets of one column of text, hashed by a plug-in of Polars that implements the same XXH64."""
    import polars_hash  # noqa: F401 - adds the namespace `nchash`

    hashed: pl.Expr = pl.lit(texts).nchash.xxhash64(seed=seed_of(salt))  # type: ignore[attr-defined]
    nothing = bucket(None, salt=salt)
    return pl.select((hashed % BUCKETS).fill_null(nothing).cast(pl.Int16).alias("_bucket")).to_series()


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
