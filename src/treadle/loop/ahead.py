"""The truth of forecasts, from the dataset's own rows: what the same series is some steps later, and was some steps earlier.

A row is an origin. Its truth is known once every step of it is; a row with a gap in it has none, and is left out
everywhere. Truths of neighbouring origins overlap, so a row is not learnt from while its truth overlaps that of a row
that it is judged by: `apart`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidInput
from treadle.core.records import Window
from treadle.data.datasets import Datasets
from treadle.loop.models import Model
from treadle.training.tasks.forecast import Forecast

#: The mean difference of a series from what it was a season ago, over all its rows up to the end of what is looked at.
SCALE = "_scale"
#: Whether a row's truth overlaps that of a row that is judged by, validation or test, or of a test row, of its series.
_NEAR, _NEAR_TEST = "_near_judged", "_near_test"
_STEP = "_step_{}"


def values_of(
    datasets: Datasets,
    model: Model,
    task: Forecast,
    *,
    version: int | None,
    window: Window,
    known_at: datetime | None,
) -> pl.DataFrame:
    """Return series, moment, value and split of all rows up to the last step of forecasts from a window.

    Raises:
        InvalidInput: the dataset has no such column, or the target is no number.
    """
    time = model.data.time_column
    reach = Window(start=None, end=window.end + task.span)
    split = ["_split"] if model.data.split is not None else []
    columns = list(dict.fromkeys([*task.series, time, model.target, *split]))
    found = datasets.read(model.data.name, version=version, window=reach, columns=columns)
    if not found.schema[model.target].is_numeric():
        msg = f"The target {model.target!r} is {found.schema[model.target]}. A forecast is of a number."
        raise InvalidInput(msg, field="target")
    found = found.filter(pl.col(model.target).is_not_null() & pl.col(model.target).is_not_nan())
    if known_at is not None:
        found = found.filter(pl.col(time) < known_at)
    twice = found.select(*task.series, time).is_duplicated()
    if twice.any():
        told = found.filter(twice).row(0, named=True)
        msg = f"The dataset {model.data.name!r} has two values of {told}. Expected one of each series and moment: name `series`."
        raise InvalidInput(msg, field="series")
    return found


def with_truth(rows: pl.DataFrame, values: pl.DataFrame, *, model: Model, task: Forecast) -> pl.DataFrame:
    """Add the truth, as an array of the steps, the lags and the scale of each series; rows without a whole truth go."""
    on = [*task.series, model.data.time_column]
    steps = pl.concat_arr(_STEP.format(step) for step in range(task.horizon)).alias(model.truth)
    truths = origins(values, model=model, task=task).select(*on, steps)
    found = rows.join(truths, on=on, how="inner", maintain_order="left", nulls_equal=True)
    return with_lags(_scaled(found, values, model=model, task=task), values, model=model, task=task)


def known(values: pl.DataFrame, *, model: Model, task: Forecast) -> tuple[int, datetime | None]:
    """Return how many rows have a whole truth, and the latest of their moments."""
    on = [*task.series, model.data.time_column]
    found = values.select(on).join(
        origins(values, model=model, task=task), on=on, how="semi", nulls_equal=True
    )
    latest = found[model.data.time_column].max()
    return found.height, latest if isinstance(latest, datetime) else None


def origins(values: pl.DataFrame, *, model: Model, task: Forecast) -> pl.DataFrame:
    """Return series and moment of every origin whose steps are all there, and these in columns of their own."""
    time, by, last = model.data.time_column, list(task.series), task.horizon - 1
    ordered = values.sort(*by, time)
    alike = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in by]
    gaps = ordered.select(pl.col(time).diff().filter(pl.all_horizontal(pl.lit(value=True), *alike)))
    nearest = gaps.to_series().min()
    if isinstance(nearest, timedelta) and nearest < task.step:
        return _origins_among_more(values, model=model, task=task)
    # No two values are nearer than a step: where the last step is as many rows later as there are steps, so are all.
    same = [pl.col(name).eq_missing(pl.col(name).shift(-last)) for name in by]
    whole = pl.col(time).shift(-last) - pl.col(time) == task.step * last
    value = pl.col(model.target).cast(pl.Float64)
    return (
        ordered.with_columns(value.shift(-step).alias(_STEP.format(step)) for step in range(task.horizon))
        .filter(pl.all_horizontal(whole, *same))
        .with_columns(pl.col(time) - task.step)
        .drop(model.target)
    )


def _origins_among_more(values: pl.DataFrame, *, model: Model, task: Forecast) -> pl.DataFrame:
    """Return the same where rows come more often than steps."""
    on = [*task.series, model.data.time_column]
    steps = {_STEP.format(step): step + 1 for step in range(task.horizon)}
    starts = values.select(*task.series, pl.col(on[-1]) - task.step)
    found = _moved(starts, values, steps, model=model, task=task)
    return found.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in steps))


def with_lags(rows: pl.DataFrame, values: pl.DataFrame, *, model: Model, task: Forecast) -> pl.DataFrame:
    """Add the target's value of some steps ago, null where it is not there."""
    return _moved(rows, values, {name: -lag for name, lag in model.behind.items()}, model=model, task=task)


def _moved(
    rows: pl.DataFrame, values: pl.DataFrame, steps: Mapping[str, int], *, model: Model, task: Forecast
) -> pl.DataFrame:
    """Add columns that hold the value of the same series so many steps later."""
    time, on = model.data.time_column, [*task.series, model.data.time_column]
    for name, step in steps.items():
        there = values.select(
            *task.series,
            (pl.col(time) - task.step * step).alias(time),
            pl.col(model.target).cast(pl.Float64).alias(name),
        )
        rows = rows.join(there, on=on, how="left", maintain_order="left", nulls_equal=True)
    return rows


def _scaled(rows: pl.DataFrame, values: pl.DataFrame, *, model: Model, task: Forecast) -> pl.DataFrame:
    """Add the scale of each series; of one that never changes, or is too short, 1: its errors stay in their own unit."""
    before = _moved(values, values, {SCALE: -task.season}, model=model, task=task)
    off = (pl.col(model.target) - pl.col(SCALE)).abs().mean().alias(SCALE)
    if task.series:
        scales = before.group_by(task.series).agg(off)
        rows = rows.join(scales, on=list(task.series), how="left", maintain_order="left", nulls_equal=True)
    else:
        rows = rows.with_columns(pl.lit(before.select(off).item(), pl.Float64).alias(SCALE))
    return rows.with_columns(pl.when(pl.col(SCALE) > 0).then(SCALE).otherwise(1.0).alias(SCALE))


def matched(predictions: pl.DataFrame, model: Model, datasets: Datasets) -> pl.DataFrame:
    """Add to logged predictions of a forecast what came: `outcome`, an array of the steps, `outcome_at` and `delay`.

    Series and origin are taken from a prediction's key, else from its inputs. A forecast is matched as a whole, once its
    last step has landed; of one with a gap, and of one that says neither series nor origin, all three are null.

    Raises:
        InvalidInput: the model is no longer declared as a forecast.
    """
    task, time = model.task, model.data.time_column
    if not isinstance(task, Forecast):
        msg = f"{model.name!r} is declared as {task.name} now, so nothing says what its forecasts were to be compared with."
        raise InvalidInput(msg, field="task")
    sent = [msgspec.json.decode(text) for text in predictions["inputs"]]
    keys = [msgspec.json.decode(text) if text else {} for text in predictions["key"]]
    told = [{**one, **key} for one, key in zip(sent, keys, strict=True)]
    newest = datasets.version(model.data.name)
    kinds = dict(datasets.scan(model.data.name, columns=[*task.series, time]).collect_schema())
    asked = (
        pl.DataFrame(
            [
                pl.Series(name, [one.get(name) for one in told], strict=False).cast(kinds[name], strict=False)
                for name in task.series
            ]
            + [pl.Series(time, [_moment(one.get(time)) for one in told], dtype=pl.Datetime("us", "UTC"))]
        )
        .with_columns(pl.col(time).cast(kinds[time]))
        .with_row_index("_place")
    )
    end = (newest.time_max or datetime(1970, 1, 1, tzinfo=UTC)) + task.step
    whole = Window(start=None, end=end)
    values = values_of(datasets, model, task, version=newest.version, window=whole, known_at=None)
    found = with_truth(asked, values, model=model, task=task)
    landed = (pl.col(time) + task.span).cast(pl.Datetime("us", "UTC")).alias("outcome_at")
    found = found.select("_place", pl.col(model.truth).alias("outcome"), landed)
    rows = predictions.with_row_index("_place").join(found, on="_place", how="left", maintain_order="left")
    return rows.drop("_place").with_columns((pl.col("outcome_at") - pl.col("at")).alias("delay"))


def _moment(text: object) -> datetime | None:
    """Return a moment that a caller wrote; without a zone it is taken to be UTC."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if found is None else utc(found)


def apart(model: Model, rows: pl.DataFrame, *, until: datetime) -> pl.DataFrame:
    """Leave out what a forecast must not learn from; rows of any other task are returned as they are.

    These are train rows whose truth overlaps, in their series, that of a validation or a test row; validation rows that
    overlap test rows so; and, where there is a forward test, rows whose truth was not known when it began (`until`).

    Raises:
        InvalidInput: more than half of the train rows overlap, as with a split of single rows.
    """
    task = model.task
    if not isinstance(task, Forecast):
        return rows
    is_train, is_validation = pl.col("_split") == "train", pl.col("_split") == "validation"
    if model.forward_span:
        known = pl.col(model.data.time_column) + task.span < until
        rows = rows.filter(known | ~(is_train | is_validation))
    near, nearer = pl.col(_NEAR), pl.col(_NEAR_TEST)
    kept = rows.filter(~((is_train & near) | (is_validation & nearer)))
    before, after = (frame.select(is_train.sum()).item() for frame in (rows, kept))
    if after < before / 2:
        msg = (
            f"Of {before:,} train rows {before - after:,} have a truth that overlaps that of validation or test rows, so a model "
            f"would be told their answers. Split by longer stretches, as td.HashSplit(group='week'), much longer than "
            f"{task.horizon} × {task.every}, by whole series, or by time: td.TimeSplit."
        )
        raise InvalidInput(msg, field="split")
    return kept


def marked(rows: pl.DataFrame, values: pl.DataFrame, *, model: Model, task: Forecast) -> pl.DataFrame:
    """Say of rows whether they are too near to judged ones to be learnt from; see `apart`.

    All rows of the dataset count: those of later versions and of other windows are judged too, and a champion meets them.
    """
    if "_split" not in rows.columns:
        return rows
    on = [*task.series, model.data.time_column, "_split"]
    # Rows without a value of their own are no values, but they are judged.
    others = pl.concat([values.select(on), rows.select(on)])
    judged = others.filter(pl.col("_split").is_in(["validation", "test"]))
    tested = others.filter(pl.col("_split") == "test")
    return rows.with_columns(
        _is_near(rows, judged, model=model, task=task).alias(_NEAR),
        _is_near(rows, tested, model=model, task=task).alias(_NEAR_TEST),
    )


def _is_near(rows: pl.DataFrame, others: pl.DataFrame, *, model: Model, task: Forecast) -> pl.Series:
    """Say which rows' truths overlap one of the others', in the same series: the origins are less than the horizon apart."""
    time, by = model.data.time_column, list(task.series)
    asked = rows.select(*by, time, pl.int_range(pl.len()).alias("_place"))
    there = others.select(*by, time, pl.lit(None, pl.Int64).alias("_place"))
    # A series without a name is one too, which a join by its name would leave out.
    series = pl.struct(by).rank("dense") if by else pl.lit(0)
    both = pl.concat([asked, there]).with_columns(series.alias("_series")).sort(time)
    is_asked = pl.col("_place").is_not_null()
    joined = both.filter(is_asked).join_asof(
        both.filter(~is_asked).select("_series", time, pl.col(time).alias("_other")),
        on=time,
        by="_series",
        strategy="nearest",
        check_sortedness=False,
    )
    gap: timedelta | pl.Expr = (pl.col(time) - pl.col("_other")).abs()
    near = (gap < pl.lit(task.span, pl.Duration("us"))).fill_null(value=False)
    return joined.sort("_place").select(near.alias("near")).to_series()
