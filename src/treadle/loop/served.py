"""What was served: logged predictions with the entities and the features that their callers sent, as columns again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from treadle.data.datasets import Datasets
from treadle.features.views import FeatureView
from treadle.loop.models import Model

#: When a prediction was asked for: the moment as of which features are read online.
AT = "at"


def served(
    predictions: pl.LazyFrame,
    model: Model,
    datasets: Datasets,
    *,
    since: datetime | None = None,
    time: str = AT,
) -> pl.DataFrame:
    """Return one row for each of a model's predictions whose entities and moment are known: these, and the features sent.

    An entity, or the moment if it is a column of the model's rows, is taken from the inputs, else from the row's key, else
    from the dataset's row that has this key. Predictions of which it stands nowhere are left out.
    """
    logged = predictions.filter(pl.col("model") == model.name)
    asked = (
        (logged if since is None else logged.filter(pl.col(AT) >= since))
        .select("inputs", "key", AT)
        .collect()
    )
    sent = [msgspec.json.decode(text) for text in asked["inputs"]]
    keys = [msgspec.json.decode(text) if text else {} for text in asked["key"]]
    entities = list(dict.fromkeys(name for view in model.features for name in view.entities))
    known = pl.DataFrame(_column(name, keys) for name in model.data.key_columns).with_row_index("_row")
    rows = _from_dataset(known, model, datasets, [*entities, *([time] if time != AT else [])])
    found = {name: _best(name, sent, keys, rows, datasets, model) for name in entities}
    found[time] = asked[AT] if time == AT else _best(time, sent, keys, rows, datasets, model)
    features = {name: _column(name, sent) for name in _sent_features(model.features, sent)}
    return pl.DataFrame({**found, **features}).drop_nulls([*entities, time])


def views_of(model: Model, columns: Sequence[str]) -> list[str]:
    """Return the names of the model's views of which some feature is among some columns."""
    return [view.name for view in model.features if set(view.output_names) & set(columns)]


def _sent_features(views: Sequence[FeatureView], sent: Sequence[dict[str, Any]]) -> list[str]:
    names = set().union(*sent[:1])
    return [name for view in views for name in view.output_names if name in names]


def _column(name: str, rows: Sequence[dict[str, Any]]) -> pl.Series:
    return pl.Series(name, [row.get(name) for row in rows], strict=False)


def _from_dataset(
    known: pl.DataFrame, model: Model, datasets: Datasets, names: Sequence[str]
) -> pl.DataFrame:
    """Return columns of the dataset's rows that have the known keys, one row for each of these, in their order."""
    key = list(model.data.key_columns)
    there = {name for name, _ in datasets.version(model.data.name).schema}
    wanted = [name for name in dict.fromkeys(names) if name in there and name not in key]
    scan = datasets.scan(model.data.name, columns=[*key, *wanted])
    keys = known.with_columns(pl.col(name).cast(scan.collect_schema()[name], strict=False) for name in key)
    return keys.lazy().join(scan, on=key, how="left", maintain_order="left").sort("_row").collect()


def _best(
    name: str,
    sent: Sequence[dict[str, Any]],
    keys: Sequence[dict[str, Any]],
    rows: pl.DataFrame,
    datasets: Datasets,
    model: Model,
) -> pl.Series:
    """Return a column from the inputs, the keys or the dataset's rows, whichever has it first, in the dataset's type."""
    places = [_column(name, sent), _column(name, keys), *([rows[name]] if name in rows.columns else [])]
    dtype = rows[name].dtype if name in rows.columns else _type_of(name, model, datasets)
    return pl.select(pl.coalesce(in_kind(column, dtype) for column in places)).to_series().alias(name)


def _type_of(name: str, model: Model, datasets: Datasets) -> pl.DataType:
    view = next(view for view in model.features if name in view.entities)
    return datasets.scan(view.name, columns=[name]).collect_schema()[name]


def in_kind(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return values as a caller wrote them in the type that a dataset has them in; null where that cannot be."""
    if column.dtype != pl.String:
        return column.cast(dtype, strict=False)
    if isinstance(dtype, pl.Datetime):
        moment = column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        return (moment if dtype.time_zone else moment.dt.replace_time_zone(None)).cast(dtype)
    if dtype == pl.Date:
        return column.str.to_date(strict=False)
    if dtype == pl.Time:
        return column.str.to_time(strict=False)
    if dtype == pl.Boolean:  # as JSON writes them
        return column.replace_strict(["true", "false"], [True, False], default=None, return_dtype=dtype)
    return column.cast(dtype, strict=False)
