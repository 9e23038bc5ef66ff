"""Outcomes of an endpoint's answers: those reported to its servers, and those that landed with the models' datasets."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from treadle.core.encoded import json_path
from treadle.core.errors import NotFound
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.loop.served import in_kind
from treadle.serving.frames import OUTCOMES
from treadle.training.tasks.forecast import Forecast


def outcomes_of(rooms: Rooms, endpoint: str, predictions: pl.LazyFrame) -> pl.DataFrame:
    """Return what is known of some of an endpoint's logged answers, with the columns of `serving.frames.OUTCOMES` and `model`.

    An answer that was asked for with its row's key has the outcome that the row has in the dataset of its model, and no other
    model's answers have it: `model` says which. It is null where an outcome was reported, which counts for all that answered.
    Of a forecast there is none here: its truth is made of several rows (`loop.ahead`).
    """
    reported = rooms.outcomes().scan(endpoint).collect()
    return with_landed(rooms, endpoint, reported, predictions)


def with_landed(
    rooms: Rooms,
    endpoint: str,
    reported: pl.DataFrame,
    predictions: pl.LazyFrame,
    versions: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Return outcomes that were reported, with those that landed for some answers.

    `versions` are those of datasets that are looked at, and no other; by default the newest of all.

    Raises:
        NotFound: one of these versions is not there any more.
    """
    asked = predictions.filter(pl.col("key").is_not_null()).select("model", "key").unique().collect()
    found = [
        truths(
            model, keys["key"], rooms, version=None if versions is None else versions.get(model.data.name)
        ).with_columns(pl.lit(endpoint).alias("endpoint"), pl.lit(name, pl.String).alias("model"))
        for (name,), keys in asked.partition_by("model", as_dict=True).items()
        if (model := rooms.project.models.get(str(name))) is not None
        and has_outcomes(model)
        and (versions is None or model.data.name in versions)
    ]
    told = reported.with_columns(pl.lit(None, pl.String).alias("model"))
    return pl.concat([told, *found], how="diagonal")


def has_outcomes(model: Model) -> bool:
    """Return whether rows of a model's dataset say what the truth of an answer with their key is."""
    apart = not isinstance(model.task, Forecast)
    return apart and bool(model.data.key_columns) and model.target in model.data.outcome_columns


def truths(model: Model, keys: pl.Series, rooms: Rooms, *, version: int | None = None) -> pl.DataFrame:
    """Return the outcomes of the rows that some keys name, in a version of the dataset or the newest.

    Raises:
        NotFound: the version is not there any more.
    """
    name, columns = model.data.name, list(model.data.key_columns)
    moment = "_outcome_at" if model.data.outcomes is not None else "_ingested_at"
    try:
        scan = rooms.datasets.scan(name, version=version, columns=[*columns, model.target, moment])
    except NotFound:
        if version is not None:
            raise
        # nothing of it has landed
        return pl.DataFrame(schema=OUTCOMES)
    kinds = scan.collect_schema()
    told = pl.DataFrame({"key": keys}).with_columns(
        pl.col("key").str.json_path_match(json_path(column)).alias(column) for column in columns
    )
    asked = told.with_columns(in_kind(told[column], kinds[column]) for column in columns).drop_nulls(columns)
    rows = (
        scan.drop_nulls(model.target)
        .join(asked.lazy(), on=columns, how="inner")
        .select("key", pl.col(model.target).alias("truth"), pl.col(moment).alias("at"))
        .collect()
    )
    is_text = rows.schema["truth"] in (pl.String, pl.Categorical, pl.Enum)
    return rows.select(
        "key",
        pl.col("at").cast(OUTCOMES["at"]),
        pl.col("truth").cast(pl.String if is_text else pl.Float64).alias("text" if is_text else "value"),
    )
