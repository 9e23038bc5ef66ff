"""What baselines that look a mean up have in common: columns to look up by, and means of few rows held in check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
from polars.dataframe.group_by import GroupBy

from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.core.records import Lookup
from treadle.core.signature import Field

By = str | Sequence[str] | None
_SEPARATOR = "\x1f"


def columns_of(by: By, *, where: str) -> tuple[str, ...]:
    """Return the declared columns.

    Raises:
        InvalidDeclaration: they are no names of columns, or one comes twice.
    """
    names: tuple[object, ...] = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    texts = tuple(name for name in names if isinstance(name, str) and name)
    if len(set(texts)) < len(names) or (by is not None and not names):
        msg = f"{where}(by={by!r}): expected a column's name, a list of different ones, or None."
        raise InvalidDeclaration(msg, field="by")
    return texts


def named(kind: str, by: tuple[str, ...]) -> str:
    """Return a baseline's name, which tells it from others of its kind.

    >>> named("prior", ("carrier", "origin"))
    'prior_by_carrier_origin'
    """
    return "_".join([kind, *(["by"] if by else []), *by])


def check_smoothing(smoothing: float, *, where: str) -> None:
    """Check a declared smoothing.

    Raises:
        InvalidDeclaration: it is no number of rows.
    """
    if not 0 <= smoothing < math.inf:
        msg = f"{where}(smoothing={smoothing!r}): expected a number of rows, 0 or more."
        raise InvalidDeclaration(msg, field="smoothing")


def numbers_of(frame: pl.DataFrame, target: str | pl.Series) -> pl.Series:
    """Return the target, a column or values of their own, as Float64.

    Raises:
        InvalidInput: there is no such column or no row, the lengths differ, or a value is missing or no finite number.
    """
    if isinstance(target, str) and target not in frame.columns:
        msg = f"There is no column {target!r} to fit a baseline to. {closest(target, frame.columns)}"
        raise InvalidInput(msg, field=target)
    values = frame[target] if isinstance(target, str) else pl.Series(target)
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        msg = f"The target {values.name!r} is {values.dtype}. Expected numbers or booleans: encode it, as the task does."
        raise InvalidInput(msg, field=values.name)
    if not frame.height or len(values) != frame.height:
        msg = f"A baseline was to be fitted to {frame.height:,} rows and {len(values):,} targets. Expected one for each row, and a row."
        raise InvalidInput(msg, field=values.name)
    found = values.cast(pl.Float64)
    if found.null_count() or not found.is_finite().all():
        msg = f"The target {values.name!r} has rows without a finite value. Fit to rows with a known outcome only."
        raise InvalidInput(msg, field=values.name)
    return found


def table_of(
    frame: pl.DataFrame, y: pl.Series, *, name: str, by: tuple[str, ...], default: float, smoothing: float
) -> Lookup:
    """Return the mean of y for each value of `by`, drawn towards `default` as if by `smoothing` rows more.

    Raises:
        InvalidInput: there is no column of that name.
    """
    if not by:
        return Lookup(name=name, default=default)
    mean = (pl.col("y").sum() + smoothing * default) / (pl.len() + smoothing)
    groups = grouped(frame, y, name=name, by=by).agg(mean)
    return Lookup(
        name=name,
        by=by,
        default=default,
        values={key_of(values): mean for *values, mean in groups.iter_rows()},
    )


def shares_of(
    frame: pl.DataFrame,
    y: pl.Series,
    *,
    name: str,
    by: tuple[str, ...],
    columns: Sequence[str],
    smoothing: float,
) -> Lookup:
    """Return the share of each class for each value of `by`, drawn towards that of all rows as if by `smoothing` more.

    `y` holds the place of each row's class among `columns`. The share of all rows is (rows of it + 1) / (rows + classes).

    Raises:
        InvalidInput: there is no column of that name, or a class has no column.
    """
    places = y.cast(pl.Int64)
    if (places != y).any() or not places.is_between(0, len(columns) - 1).all():
        msg = f"The target {y.name!r} holds other values than 0 to {len(columns) - 1}, the places of {len(columns)} classes."
        raise InvalidInput(msg, field=y.name)
    default = (_counted(places, columns) + 1) / (len(y) + len(columns))
    whole = Lookup(name=name, default=tuple(default.tolist()), columns=tuple(columns))
    if not by:
        return whole
    groups = grouped(frame, places, name=name, by=by).agg("y")
    values = {
        key_of(found): (_counted(held, columns) + smoothing * default) / (len(held) + smoothing)
        for *found, held in zip(*(groups[column] for column in groups.columns), strict=True)
    }
    return msgspec.structs.replace(
        whole, by=by, values={key: tuple(row.tolist()) for key, row in values.items()}
    )


def rates_of(
    frame: pl.DataFrame,
    target: str | pl.Series,
    *,
    name: str,
    by: tuple[str, ...],
    columns: Sequence[str],
    smoothing: float,
) -> Lookup:
    """Return how often each label held for each value of `by`, drawn towards that of all rows as if by `smoothing` more.

    The target holds, for each row, 0 or 1 for each label. The share of all rows is (rows of it + 1) / (rows + 2).

    Raises:
        InvalidInput: there are no rows, or not 0 or 1 for each label, or there is no column of that name.
    """
    held = np.asarray((frame[target] if isinstance(target, str) else target).to_numpy(), dtype=np.float64)
    if held.shape != (frame.height, len(columns)) or not len(held) or not np.isin(held, (0.0, 1.0)).all():
        msg = (
            f"The target is of shape {held.shape} for {frame.height:,} rows. Expected 0 or 1 for each of {len(columns)} labels, "
            "and a row."
        )
        raise InvalidInput(msg, field="target")
    default = (held.sum(axis=0) + 1) / (len(held) + 2)
    whole = Lookup(name=name, default=tuple(default.tolist()), columns=tuple(columns))
    if not by:
        return whole
    values = {}
    places = pl.Series("row", np.arange(len(held)))
    for *key, rows in grouped(frame, places, name=name, by=by).agg("y").iter_rows():
        drawn = (held[rows].sum(axis=0) + smoothing * default) / (len(rows) + smoothing)
        values[key_of(key)] = tuple(drawn.tolist())
    return msgspec.structs.replace(whole, by=by, values=values)


def must_be_one_number(output: Field | None, *, where: str, instead: str) -> None:
    """Refuse to answer with one number where several are asked for.

    Raises:
        InvalidInput: as the name says.
    """
    if output is not None and output.columns:
        shown = ", ".join(output.columns[:5]) + (", …" if len(output.columns) > 5 else "")
        msg = f"{where} answers with one number; {output.name} are {len(output.columns)}: {shown}. {instead}"
        raise InvalidInput(msg, field="baselines")


def grouped(frame: pl.DataFrame, y: pl.Series, *, name: str, by: tuple[str, ...]) -> GroupBy:
    """Return the targets, as the column `y`, grouped by columns of the frame.

    Raises:
        InvalidInput: there is no column of that name.
    """
    for column in by:
        if column not in frame.columns:
            msg = f"The baseline {name!r} looks up a column that is not there: {column!r}. {closest(column, frame.columns)}"
            raise InvalidInput(msg, field=column)
    names = [f"by {number}" for number in range(len(by))]
    rows = frame.select(by).rename(dict(zip(by, names, strict=True))).with_columns(y.alias("y"))
    return rows.group_by(names, maintain_order=True)


def _counted(places: pl.Series, columns: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.bincount(places.to_numpy(), minlength=len(columns)).astype(np.float64)


def key_of(values: Sequence[Any]) -> str:
    """Return the values of a lookup's columns as it is looked up."""
    return _SEPARATOR.join(map(str, values))
