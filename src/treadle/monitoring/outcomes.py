"""Predictions beside the truth that arrived later, matched by prediction id and by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.ids import canonical
from treadle.core.records import Record

#: Columns that `join` adds.
OUTCOME, OUTCOME_AT, DELAY = "outcome", "outcome_at", "delay"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A frame of outcomes, and what in it says which prediction an outcome belongs to."""

    frame: pl.DataFrame
    #: Columns that a prediction and its outcome have in common; a row with a null in one of them matches nothing.
    on: tuple[str, ...]
    #: Column of the true value: a number, a boolean, or the name of a class.
    value: str = "value"
    #: Column of the moment at which it became known; None: it was known from the beginning.
    at: str | None = "at"


class Delays(Record, frozen=True, kw_only=True):
    """How long outcomes take to become known."""

    predictions: int
    #: Predictions whose outcome is known.
    known: int
    #: Seconds from prediction to outcome; None: no outcome has a moment.
    median: float | None
    p90: float | None
    longest: float | None
    #: Seconds that the oldest prediction without an outcome waits at `now`; None: none waits.
    oldest_pending: float | None


def reported(outcomes: pl.DataFrame) -> list[Known]:
    """Divide outcomes into those by prediction id, those by key, and those by key that one `model` asks about.

    What was reported to an endpoint by key is the truth of whatever answered there. What landed with the dataset of a model
    (`model` says which) is the truth of that model's target, and another model's answers have nothing to do with it.
    Where any value is text, as the name of a class, all are.
    """
    if "text" in outcomes.columns and outcomes["text"].count():
        outcomes = outcomes.with_columns(pl.coalesce("text", pl.col("value").cast(pl.String)).alias("value"))
    if "model" not in outcomes.columns:
        outcomes = outcomes.with_columns(pl.lit(None, pl.String).alias("model"))
    of_one, keyed = pl.col("model").is_not_null(), pl.col("key").is_not_null()
    found = [
        Known(frame=outcomes.filter(pl.col("prediction_id").is_not_null()), on=("prediction_id",)),
        Known(frame=outcomes.filter(keyed & ~of_one), on=("key",)),
        Known(frame=outcomes.filter(keyed & of_one), on=("model", "key")),
    ]
    return found if found[-1].frame.height else found[:2]


def key_text(frame: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Return the key of each row as the prediction log writes it: JSON with sorted names."""
    rows = frame.select(columns).iter_rows(named=True)
    return pl.Series("key", [canonical(row).decode() for row in rows], dtype=pl.String)


def join(predictions: pl.DataFrame, outcomes: Sequence[Known], *, at: str = "at") -> pl.DataFrame:
    """Add to each prediction its outcome, `outcome_at`, and `delay` since the column `at`.

    `outcome` is Float64, or String where outcomes are names of classes.

    Where several outcomes match, the one that became known last counts, of equal moments the one that stands last,
    in the last frame. Missing and NaN values are no outcomes. Predictions keep their order; one without an outcome
    has nulls.

    Raises:
        InvalidInput: a column is missing, an outcome is neither a number nor text, or some are this and some that.
    """
    for taken in (OUTCOME, OUTCOME_AT, DELAY):
        if taken in predictions.columns:
            msg = f"The predictions have a column {taken!r} already. Rename it before joining outcomes."
            raise InvalidInput(msg, field=taken)
    _must_have(predictions, [at], "predictions")
    rows = predictions.with_row_index("_row")
    matches = [_matches(rows, known, rank) for rank, known in enumerate(outcomes)]
    found = pl.concat([_nothing(_kind(matches)), *matches]).sort(
        OUTCOME_AT, "_rank", "_place", nulls_last=False
    )
    last = found.unique("_row", keep="last", maintain_order=True).drop("_rank", "_place")
    joined = rows.join(last, on="_row", how="left", maintain_order="left").drop("_row")
    assert joined.height == predictions.height
    return joined.with_columns((pl.col(OUTCOME_AT) - _utc(pl.col(at), predictions[at])).alias(DELAY))


def delays(joined: pl.DataFrame, *, now: object, at: str = "at") -> Delays:
    """Say how long outcomes take, from a frame that `join` made; `now` is a UTC moment."""
    seconds = joined[DELAY].dt.total_microseconds() / 1e6
    waiting = joined.filter(pl.col(OUTCOME).is_null())[at]
    ages = pl.DataFrame({"at": waiting}).select(
        ((pl.lit(now) - _utc(pl.col("at"), waiting)).dt.total_microseconds() / 1e6).max()
    )
    return Delays(
        predictions=joined.height,
        known=joined.height - joined[OUTCOME].null_count(),
        median=seconds.median(),  # type: ignore[arg-type]
        p90=seconds.quantile(0.9, "nearest"),
        longest=seconds.max(),  # type: ignore[arg-type]
        oldest_pending=ages.item(),
    )


def _kind(matches: Sequence[pl.DataFrame]) -> pl.DataType:
    kinds = {match[OUTCOME].dtype for match in matches}
    if len(kinds) > 1:
        msg = "Some outcomes are numbers and some are names of classes. Expected all of one kind."
        raise InvalidInput(msg, field=OUTCOME)
    return kinds.pop() if kinds else pl.Float64()


def _nothing(kind: pl.DataType) -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "_row": pl.get_index_type(),
            OUTCOME: kind,
            OUTCOME_AT: pl.Datetime("us", "UTC"),
            "_rank": pl.Int32,
            "_place": pl.get_index_type(),
        }
    )


def _matches(rows: pl.DataFrame, known: Known, rank: int) -> pl.DataFrame:
    _must_have(rows, known.on, "predictions")
    _must_have(known.frame, [*known.on, known.value, *([known.at] if known.at else [])], "outcomes")
    dtype = known.frame[known.value].dtype
    named = dtype in (pl.String, pl.Categorical, pl.Enum)
    if not (named or dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
        msg = f"The outcomes' column {known.value!r} is {dtype}. Expected numbers, booleans or names of classes."
        raise InvalidInput(msg, field=known.value)
    moment = (
        _utc(pl.col(known.at), known.frame[known.at]) if known.at else pl.lit(None, pl.Datetime("us", "UTC"))
    )
    values = known.frame.select(
        *known.on,
        pl.col(known.value).cast(pl.String if named else pl.Float64).alias(OUTCOME),
        moment.alias(OUTCOME_AT),
        pl.lit(rank, pl.Int32).alias("_rank"),
    )
    there = pl.col(OUTCOME).is_not_null() if named else pl.col(OUTCOME).is_not_nan()
    values = values.with_row_index("_place").filter(there)
    found = rows.select("_row", *known.on).join(values, on=list(known.on), how="inner")
    return found.select(_nothing(values[OUTCOME].dtype).columns)


def _utc(moment: pl.Expr, series: pl.Series) -> pl.Expr:
    """A moment without a zone is taken to be UTC."""
    zone = getattr(series.dtype, "time_zone", None)
    aware = moment.dt.replace_time_zone("UTC") if zone is None and series.dtype != pl.Null else moment
    return aware.cast(pl.Datetime("us", "UTC"))


def _must_have(frame: pl.DataFrame, names: Sequence[str], noun: str) -> None:
    for name in names:
        if name not in frame.columns:
            msg = f"The {noun} have no column {name!r}. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field=name)
