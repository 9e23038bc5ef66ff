"""How good the answers were, by day or week and by version, with an interval round each number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput

#: Takes the truth and the predictions, float64 of shape (rows,) or (rows, columns), and where rows weigh differently how much.
Value = Callable[..., float]
PerRow = Callable[[np.ndarray, np.ndarray], np.ndarray]
#: Takes the same, and the interval's confidence; returns its low and its high end.
Interval = Callable[[np.ndarray, np.ndarray, float], tuple[float, float]]

#: What `performance` returns; `start` is the beginning of the hour, day, week (a Monday) or month, in UTC.
COLUMNS = {
    "start": pl.Datetime("us", "UTC"),
    "model": pl.String(),
    "version": pl.Int64(),
    "metric": pl.String(),
    "n": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}
#: Lengths of time that answers are put together in.
STRETCHES = ("1h", "1d", "1w", "1mo", "all")
_SMALLEST = 2


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric as this room needs it."""

    name: str
    value: Value
    #: Loss of each row, for metrics that are its mean: gives the interval by the normal approximation.
    per_row: PerRow | None = None
    #: Another way to the interval, such as a bootstrap; it goes before `per_row`.
    interval: Interval | None = None


def performance(
    joined: pl.DataFrame,
    measures: Sequence[Measure],
    *,
    prediction: str,
    every: str = "1w",
    at: str = "at",
    version: str = "version",
    also: Sequence[str] = (),
    confidence: float = 0.95,
) -> pl.DataFrame:
    """Score predictions whose outcome is known, from a frame that `outcomes.join` made; with `sampled`, a row weighs 1 over it.

    Outcomes are numbers, as the task has them, or arrays of them; predictions too. One row for each bucket (`every`: one of `STRETCHES`), model
    (null where there is no such column), version, values of the columns `also`, and measure, as `COLUMNS` says. A value that does not exist, such as the area under a curve of one class, is null; so is an interval of fewer than two rows or of a
    measure that brings none.

    Raises:
        InvalidInput: `every` or `confidence` is not valid, or a prediction is missing.
    """
    start = start_of(at, every)
    if not 0 < confidence < 1:
        msg = f"confidence={confidence!r} is not between 0 and 1, as 0.95."
        raise InvalidInput(msg, field="confidence")
    known = joined.filter(pl.col("outcome").is_not_null())
    if known[prediction].null_count():
        msg = f"{known[prediction].null_count()} predictions with an outcome have no {prediction!r}."
        raise InvalidInput(msg, field=prediction)
    by = ["_start", "_model", version, *also]
    model = pl.col("model") if "model" in known.columns else pl.lit(None, pl.String)
    groups = (
        known.with_columns(start.alias("_start"), model.alias("_model"))
        .sort(by)
        .partition_by(by, maintain_order=True)
    )
    rows = [
        (*group.select(by).row(0), *_scored(group, measure, prediction, confidence))
        for group in groups
        for measure in measures
    ]
    return pl.DataFrame(rows, schema=columns(known.schema, also), orient="row")


def columns(schema: Mapping[str, pl.DataType], also: Sequence[str] = ()) -> dict[str, pl.DataType]:
    """Return the columns of what `performance` returns: those of `also` stand behind the version."""
    first = ("start", "model", "version")
    return (
        {name: COLUMNS[name] for name in first}
        | {name: schema[name] for name in also}
        | {name: kind for name, kind in COLUMNS.items() if name not in first}
    )


def start_of(at: str, every: str) -> pl.Expr:
    """Return the beginning of the stretch that a row's moment is in; of `all` there is one, which has none.

    Raises:
        InvalidInput: there is no such stretch.
    """
    if every not in STRETCHES:
        msg = f"every={every!r} is no bucket. Expected {', '.join(map(repr, STRETCHES))}."
        raise InvalidInput(msg, field="every")
    return pl.lit(None, COLUMNS["start"]) if every == "all" else pl.col(at).dt.truncate(every)


def _scored(
    group: pl.DataFrame, measure: Measure, prediction: str, confidence: float
) -> tuple[str, int, float | None, float | None, float | None]:
    y, p = numbers(group["outcome"]), numbers(group[prediction])
    weight = _weights(group)
    value = float(measure.value(y, p) if weight is None else measure.value(y, p, weight))
    low, high = _interval(y, p, measure, confidence, weight)
    return measure.name, len(y), _finite(value), _finite(low), _finite(high)


def _weights(group: pl.DataFrame) -> np.ndarray | None:
    """Return how many answers each row stands for; None: all for as many."""
    if "sampled" not in group.columns or group["sampled"].n_unique() < 2:
        return None
    return 1 / group["sampled"].to_numpy()


def numbers(values: pl.Series) -> np.ndarray:
    """Return outcomes or answers as a metric takes them: float64 of shape (rows,) or (rows, columns)."""
    return (values if isinstance(values.dtype, pl.Array) else values.cast(pl.Float64)).to_numpy()


def _interval(
    y: np.ndarray, p: np.ndarray, measure: Measure, confidence: float, weight: np.ndarray | None
) -> tuple[float, float]:
    if len(y) < _SMALLEST:
        return math.nan, math.nan
    if measure.interval is not None:
        return measure.interval(y, p, confidence)
    if measure.per_row is None:
        return math.nan, math.nan
    return normal_interval(measure.per_row(y, p), confidence, weight)


def normal_interval(
    losses: np.ndarray, confidence: float, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the interval of a mean by the normal approximation: mean ± z · s / √n, with s² over n - 1; see `moments` for weights."""
    given = np.ones(len(losses)) if weight is None else weight
    mean = float(np.average(losses, weights=weight))
    about = float(np.sum((given * (losses - mean)) ** 2)) / float(np.sum(given)) ** 2
    error = math.sqrt(about * len(losses) / (len(losses) - 1))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return mean - reach, mean + reach


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
