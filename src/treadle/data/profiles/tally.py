"""The tally: what is counted of all rows, in bounded memory, and the sample that is drawn for whatever costs more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from polars import selectors

from treadle.data.profiles.distinct import estimate, registers
from treadle.data.profiles.sample import MARK, marked, sample_size, sampled
from treadle.data.profiles.subject import Subject

#: Grains in which moments are counted, by the least seconds that the rows span: at most some ten thousand counts, and
#: never coarser than the stretches that are shown of that span.
_GRAINS = ((400 * 86_400, "1d"), (5 * 86_400, "1h"), (4_000, "1m"), (0, "1s"))
#: Treadle's own columns that a profile needs; it describes none of them.
_NEEDED = ("_split", "_seq", "_version", "_ingested_at")


@dataclass(frozen=True)
class Rows:
    """Rows to be read: in full, or some columns of them, for which less may have to be joined."""

    everything: pl.LazyFrame
    only: Callable[[Sequence[str]], pl.LazyFrame]

    @classmethod
    def of(cls, frame: pl.DataFrame | pl.LazyFrame) -> Rows:
        """Return the rows of a frame; a number that is none, or not finite, is taken for a missing one."""
        decimal = selectors.float()
        rows = frame.lazy().with_columns(pl.when(decimal.is_finite()).then(decimal))
        return cls(rows, lambda columns: rows.select(columns))


@dataclass(frozen=True)
class Tally:
    """What one pass over all rows found."""

    rows: int
    schema: Mapping[str, pl.DataType]
    #: By column: `missing`, `min`, `max`, `mean`, `std`, where they exist.
    totals: Mapping[str, Mapping[str, Any]]
    #: By column: about how many different values it has; empty where the sample is all rows and tells it exactly.
    distinct: Mapping[str, int]
    #: `_split`, `rows`, `known`, `outcome`; no rows where there is no split.
    splits: pl.DataFrame
    #: `start`, `rows`, by grain of event time, in order; None: the rows have no time.
    moments: pl.DataFrame | None
    #: The grain of the moments, as Polars writes it.
    grain: str
    time_min: datetime | None
    time_max: datetime | None
    #: The sampled rows, in random order, with Treadle's own columns.
    sample: pl.DataFrame


def tally(rows: Rows, subject: Subject) -> Tally:
    """Count all rows and draw the sample.

    The rows are read once in full, and single columns once more for what is grouped: grouped in the same pass, twenty
    columns of ten million rows took two gigabytes instead of half a one, since groups hold up what else is read.
    """
    kinds = rows.everything.collect_schema()
    schema = {name: kinds[name] for name in kinds.names() if not name.startswith("_")}
    time = subject.time if subject.time in schema else None
    total, earliest, latest = _extent(rows, time)
    grain = grain_of(earliest, latest) if earliest and latest else ""
    wanted = [name for name in kinds.names() if not name.startswith("_") or name in _NEEDED]
    size = sample_size(len(wanted))
    drawn = sampled(marked(rows.everything), total=total, size=size).select(*wanted, MARK)
    totals, sample = pl.collect_all([rows.everything.select(_totals(schema)), drawn], engine="streaming")
    return Tally(
        rows=total,
        schema=schema,
        totals=_by_column(totals, list(schema)),
        distinct=_distinct(rows, schema) if total > size else {},
        splits=_splits(rows, kinds, subject),
        moments=_moments(rows, time, grain) if time and grain else None,
        grain=grain,
        time_min=earliest,
        time_max=latest,
        sample=sample.sort(MARK, *(["_seq"] if "_seq" in wanted else [])),
    )


def is_plain(dtype: pl.DataType) -> bool:
    """Say whether values of a type can be counted and put into order, as lists and structs cannot."""
    return not dtype.is_nested() and dtype not in {pl.Binary, pl.Null, pl.Object}


def _extent(rows: Rows, time: str | None) -> tuple[int, datetime | None, datetime | None]:
    if time is None:
        return int(rows.everything.select(pl.len()).collect(engine="streaming").item()), None, None
    moments = (
        pl.len().alias("rows"),
        pl.col(time).min().alias("earliest"),
        pl.col(time).max().alias("latest"),
    )
    found = rows.only([time]).select(moments).collect(engine="streaming").row(0)
    return int(found[0]), found[1], found[2]


def _distinct(rows: Rows, schema: Mapping[str, pl.DataType]) -> dict[str, int]:
    plain = [name for name, dtype in schema.items() if is_plain(dtype)]
    return {name: estimate(registers(rows.only([name]), name).collect(engine="streaming")) for name in plain}


def _totals(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Return the expressions for every column, named by its place: names may hold anything."""
    found = []
    for place, (name, dtype) in enumerate(schema.items()):
        column = pl.col(name)
        wanted = {"missing": column.null_count()}
        if is_plain(dtype):
            least = column.cast(pl.String) if dtype in {pl.Categorical, pl.Enum} else column
            wanted |= {"min": least.min(), "max": least.max()}
        if dtype.is_numeric() or dtype == pl.Boolean:
            wanted |= {"mean": column.mean()}
        if dtype.is_numeric():
            wanted |= {"std": column.std()}
        found += [expression.alias(f"{place}:{what}") for what, expression in wanted.items()]
    return found


def _by_column(totals: pl.DataFrame, names: list[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for label, value in totals.row(0, named=True).items() if totals.height else ():
        place, _, what = label.partition(":")
        found[names[int(place)]][what] = value
    return found


def _splits(rows: Rows, schema: pl.Schema, subject: Subject) -> pl.DataFrame:
    outcome = next((name for name in subject.outcomes if name in schema), None)
    if "_split" not in schema:
        kinds = {"_split": pl.String(), "rows": pl.Int64(), "known": pl.Int64(), "outcome": pl.Float64()}
        return pl.DataFrame(schema=kinds)
    nothing = pl.lit(None)
    means = outcome is not None and (schema[outcome].is_numeric() or schema[outcome] == pl.Boolean)
    sides = rows.only(["_split", *([outcome] if outcome else [])]).filter(pl.col("_split").is_not_null())
    counted = sides.group_by("_split").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        (pl.col(outcome).count().cast(pl.Int64) if outcome else nothing.cast(pl.Int64)).alias("known"),
        (pl.col(str(outcome)).mean() if means else nothing).cast(pl.Float64).alias("outcome"),
    )
    return counted.sort("_split").collect(engine="streaming")


def grain_of(earliest: datetime, latest: datetime) -> str:
    """Return the grain in which moments between two are counted."""
    span = (latest - earliest).total_seconds()
    return next(grain for least, grain in _GRAINS if span >= least)


def _moments(rows: Rows, time: str, grain: str) -> pl.DataFrame:
    starts = rows.only([time]).select(pl.col(time).dt.truncate(grain).alias("start")).drop_nulls()
    counted = starts.group_by("start").agg(pl.len().cast(pl.Int64).alias("rows"))
    return counted.sort("start").collect(engine="streaming")
