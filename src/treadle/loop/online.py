"""Rows for a caller in a hurry: features from the online store, and those on demand by the code that training used."""

from __future__ import annotations

import polars as pl

from treadle.features import on_demand
from treadle.features.online import OnlineFeatures
from treadle.loop.models import Model


def with_online_features(model: Model, rows: pl.DataFrame, online: OnlineFeatures) -> pl.DataFrame:
    """Return rows with the features of a model as of now, in the order of the rows.

    Raises:
        InvalidInput: an entity column is missing, or a value is not of its type.
        StoreUnavailable: the online store does not answer, and the policy is `error`; else its features are null.
    """
    joined = rows
    if model.features:
        entities = {name for view in model.features for name in view.entities if name in rows.columns}
        asked = {name: rows[name].to_list() for name in sorted(entities)}
        found = online.read([view.name for view in model.features], asked)
        joined = rows.with_columns(found.frame().get_columns())
    return on_demand.apply(model.on_demand, joined)
