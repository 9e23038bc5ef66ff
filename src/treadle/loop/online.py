"""Features online: kept as fresh as the rows, and read for a caller in a hurry."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from treadle.core.errors import Conflict, TreadleError
from treadle.features import materialisations, on_demand
from treadle.features.online import OnlineFeatures
from treadle.features.views import FeatureView
from treadle.loop.concerns import STALE_ONLINE
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms


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


def refresh(views: Sequence[FeatureView], rooms: Rooms) -> None:
    """Bring what is new in some views into the online store, for those that somebody reads there.

    Those are the views that were materialised once. What fails holds nothing up: it is told to a person, once until it is
    mended, and tried again at the next look. Where nothing is new, nothing is written.
    """
    served = materialisations.served(rooms.ledger) if views else set()
    for view in views:
        if view.name in served:
            _refresh(view, rooms)


def _refresh(view: FeatureView, rooms: Rooms) -> None:
    subject = f"view:{view.name}"
    try:
        done = rooms.online().materialise(view.name, patience=0.0)
    except Conflict:
        return  # another process is at it, or the store was emptied meanwhile: the next look will see
    except TreadleError as error:
        text = f"What is new in feature view {view.name!r} is not in the online store: {error}"
        rooms.progress.step(text)
        rooms.alerts.raise_(STALE_ONLINE, subject, text)
        return
    rooms.alerts.resolve(STALE_ONLINE, subject)
    if done.written:
        rooms.progress.step(f"{view.name}: {done.written:,} values brought online")
