"""A dataset's past as it was known at each of its moments: rows whose outcome had arrived, and nothing that came later."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from treadle.core.errors import NotFound
from treadle.core.records import Window
from treadle.loop.frames import Frames, Known
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.store.ledger.tables import micros
from treadle.store.ledger.tables import moment as moment_of
from treadle.training.tasks.forecast import Forecast

_TICK = timedelta(microseconds=1)


class History:
    """All rows of a model, read once and joined as of their own times; moments are cut out of them.

    What a row knows of its features is what had arrived by its own time, so it is the same at every later moment; what grows
    is which rows have an outcome. The truth of a forecast is later rows, so there each moment is read from the tables.
    """

    def __init__(self, model: Model, rooms: Rooms) -> None:
        self.model = model
        names = (model.data.name, *(view.name for view in model.features))
        self.versions = {name: rooms.datasets.version(name).version for name in names}
        self._frames, self._datasets = Frames(rooms.datasets), rooms.datasets

    @property
    def version(self) -> int:
        """The version of the dataset that is walked through."""
        return self.versions[self.model.data.name]

    @cached_property
    def bounds(self) -> tuple[datetime, datetime]:
        """The first row's moment, and the end of the rows that have an outcome.

        Raises:
            NotFound: no row has one.
        """
        end = self._frames.known(self.model, self.version).until
        start = self._datasets.version(self.model.data.name).time_min
        if end is None or start is None:
            known = f" has a known {self.model.target!r}" if self.model.target else " is there"
            msg = f"No row of dataset {self.model.data.name!r}{known}, so there is no history to replay."
            raise NotFound(msg)
        return start, end

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What the numbers of an answer are called over the whole history, as every class that was ever seen: to score by only."""
        model = self.model
        if model.truth != model.target or not model.target:
            return tuple(model.task.outputs[-1].columns)
        rows = self._datasets.scan(model.data.name, version=self.version, outcome=True)
        seen = rows.select(pl.col(model.target).unique()).collect()[model.target]
        return tuple(model.task.over([], seen).outputs[-1].columns)

    def known(self, moment: datetime) -> Known:
        """Count the rows that could be trained on at a moment, and say up to when they reach."""
        if isinstance(self.model.task, Forecast):
            return self._frames.known(self.model, self.version, known_at=moment)
        time = self._time[self._had_arrived(moment)]
        if not len(time):
            return Known(rows=0, until=None)
        return Known(rows=len(time), until=moment_of(int(time.max())) + _TICK)

    def rows(self, window: Window, *, known_at: datetime | None = None) -> pl.DataFrame:
        """Return the rows of a window with a known outcome, in the order in which they landed: known by a moment, or ever."""
        if isinstance(self.model.task, Forecast):
            return self._frames.rows(self.model, versions=self.versions, window=window, known_at=known_at)
        chosen = self._time < micros(window.end)
        if window.start is not None:
            chosen &= self._time >= micros(window.start)
        if known_at is not None:
            chosen &= self._had_arrived(known_at)
        return self.all.filter(pl.Series(chosen))

    @cached_property
    def all(self) -> pl.DataFrame:
        """All rows with a known outcome, in the order in which they landed."""
        _, end = self.bounds
        return self._frames.rows(self.model, versions=self.versions, window=Window(start=None, end=end))

    @cached_property
    def arrived(self) -> np.ndarray:
        """When each row's outcome became known, in microseconds: with the row where it is a column of it."""
        if not self.model.target or "_outcome_at" not in self.all.columns:
            return self._time
        at = self.all["_outcome_at"].dt.epoch("us")
        return at.fill_null(np.iinfo(np.int64).max).to_numpy()

    @cached_property
    def _time(self) -> np.ndarray:
        return self.all[self.model.data.time_column].dt.epoch("us").to_numpy()

    def _had_arrived(self, moment: datetime) -> np.ndarray:
        at = micros(moment)
        return (self._time < at) & (self.arrived <= at)
