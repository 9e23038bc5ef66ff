"""The rows that a model sees: dataset rows of pinned versions with features joined as of each row's time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Window
from treadle.data.datasets import Datasets
from treadle.features import on_demand
from treadle.features.join import join
from treadle.features.views import FeatureView
from treadle.loop.ahead import known, marked, values_of, with_lags, with_truth
from treadle.loop.models import Model
from treadle.training.tasks.forecast import Forecast

_TICK = timedelta(microseconds=1)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Known:
    """The rows that can be trained on."""

    rows: int
    #: End (exclusive) of their event time; None: there are none.
    until: datetime | None


class Frames:
    """Reads rows for models."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets

    def known(self, model: Model, version: int, *, known_at: datetime | None = None) -> Known:
        """Count the rows that could be trained on by a moment, and say up to when they reach."""
        time = model.data.time_column
        if isinstance(model.task, Forecast):
            return self._known_ahead(model, model.task, version, known_at)
        rows = self._datasets.scan(
            model.data.name, version=version, outcome=bool(model.target) or None, known_at=known_at
        )
        if known_at is not None:
            rows = rows.filter(pl.col(time) < known_at)
        count, latest = rows.select(pl.len(), pl.col(time).max().alias("latest")).collect().row(0)
        return Known(rows=count, until=None if latest is None else latest + _TICK)

    def rows(
        self,
        model: Model,
        *,
        versions: Mapping[str, int],
        window: Window,
        split: str | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Return rows inside a window, with a known outcome where the model has a target, with features, in the order in which they landed.

        Raises:
            InvalidInput: an on-demand feature depends on more than its own row.
        """
        ahead = model.task if isinstance(model.task, Forecast) else None
        version = versions[model.data.name]
        spine = self._datasets.read(
            model.data.name,
            version=version,
            split=split,
            window=window,
            outcome=None if ahead or not model.target else True,
            known_at=known_at,
        )
        if ahead is not None:
            values = values_of(
                self._datasets, model, ahead, version=version, window=window, known_at=known_at
            )
            spine = marked(
                with_truth(spine, values, model=model, task=ahead), values, model=model, task=ahead
            )
        joined = self._joined(model, spine, versions=versions, known_at=known_at)
        return on_demand.apply(model.on_demand, joined, verified=True)

    def _known_ahead(self, model: Model, task: Forecast, version: int, known_at: datetime | None) -> Known:
        last = self._datasets.version(model.data.name, version).time_max
        if last is None:
            return Known(rows=0, until=None)
        whole = Window(start=None, end=last + _TICK)
        values = values_of(self._datasets, model, task, version=version, window=whole, known_at=known_at)
        rows, latest = known(values, model=model, task=task)
        return Known(rows=rows, until=None if latest is None else latest + _TICK)

    def with_features(
        self,
        model: Model,
        spine: pl.DataFrame,
        *,
        versions: Mapping[str, int] | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Join a model's features to rows, each as of its own time, and add those on demand; versions default to the newest.

        To rows of a forecast the target's lags are added too.
        """
        if model.lags and isinstance(model.task, Forecast):
            version, window = (versions or {}).get(model.data.name), _reach(spine, model.data.time_column)
            values = values_of(
                self._datasets, model, model.task, version=version, window=window, known_at=known_at
            )
            spine = with_lags(spine, values, model=model, task=model.task)
        joined = self._joined(model, spine, versions=versions, known_at=known_at)
        return on_demand.apply(model.on_demand, joined)

    def join(
        self,
        rows: pl.DataFrame,
        views: Sequence[FeatureView],
        *,
        time: str,
        versions: Mapping[str, int] | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Join views to any rows, each as of its own time, rows and their order staying as they are; see `features.join`."""
        reach = _reach(rows, time)
        reads = [(view, self._view(view, reach, versions)) for view in views]
        return join(rows, reads, time=time, known_at=known_at)

    def _joined(
        self,
        model: Model,
        spine: pl.DataFrame,
        *,
        versions: Mapping[str, int] | None,
        known_at: datetime | None,
    ) -> pl.DataFrame:
        if not model.features:
            return spine
        time = model.data.time_column
        return self.join(spine, model.features, time=time, versions=versions, known_at=known_at)

    def _view(
        self, view: FeatureView, reach: Window, versions: Mapping[str, int] | None
    ) -> Callable[[], pl.DataFrame]:
        """Return what reads the rows of a view that can matter, when their turn comes."""
        start = reach.start - view.reach if view.reach is not None and reach.start else None
        version = (versions or {}).get(view.name)
        window = Window(start=start, end=reach.end)
        return partial(
            self._datasets.read, view.name, version=version, window=window, columns=list(view.columns)
        )


def _reach(spine: pl.DataFrame, time: str) -> Window:
    if time not in spine.columns:
        msg = f"No column {time!r} in the rows. {closest(time, spine.columns)}"
        raise InvalidInput(msg, field="time")
    first, last = spine[time].min(), spine[time].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return Window(start=_NEVER, end=_NEVER)
    return Window(start=first, end=last + _TICK)
