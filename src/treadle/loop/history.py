"""A dataset's past as it was known at each of its moments: rows whose outcome had arrived, and nothing that came later."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
#: The place of a row among all rows of a history.
PLACE = "_place"


@dataclass(frozen=True, eq=False)
class Past:
    """Rows with the moments at which they were, and at which their outcomes became known."""

    #: In the order in which they landed, each with its place.
    rows: pl.DataFrame
    #: Of each row, in microseconds.
    time: np.ndarray
    arrived: np.ndarray

    @classmethod
    def of(cls, model: Model, rows: pl.DataFrame) -> Past:
        """Take the rows of a model; their outcome is known with the row where it is a column of it."""
        time = rows[model.data.time_column].dt.epoch("us").to_numpy()
        arrived = time
        if model.target and "_outcome_at" in rows.columns:
            arrived = rows["_outcome_at"].dt.epoch("us").fill_null(np.iinfo(np.int64).max).to_numpy()
        return cls(rows=rows, time=time, arrived=arrived)

    def known(self, moment: datetime) -> np.ndarray:
        """Say of each row whether it was there before a moment, with its outcome."""
        at = micros(moment)
        there: np.ndarray = (self.time < at) & (self.arrived < at)
        return there

    def within(self, window: Window, *, known_at: datetime | None = None) -> np.ndarray:
        """Return the places of the rows of a window, known by a moment, or ever."""
        chosen = self.time < micros(window.end)
        if window.start is not None:
            chosen &= self.time >= micros(window.start)
        if known_at is not None:
            chosen &= self.known(known_at)
        return np.flatnonzero(chosen)


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
        self._known: dict[datetime, Known] = {}

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
        if moment not in self._known:
            time = self.past.time[self.past.known(moment)]
            until = moment_of(int(time.max())) + _TICK if len(time) else None
            self._known[moment] = Known(rows=len(time), until=until)
        return self._known[moment]

    def version_at(self, moment: datetime) -> int | None:
        """Return the version of the dataset that was the newest at a moment; None: all of it was brought in later."""
        there = [number for at, number in self._made if at <= moment]
        return max(there, default=None)

    def rows(self, window: Window, *, known_at: datetime | None = None) -> pl.DataFrame:
        """Return the rows of a window with a known outcome, in the order in which they landed: known by a moment, or ever."""
        if isinstance(self.model.task, Forecast):
            return self._frames.rows(self.model, versions=self.versions, window=window, known_at=known_at)
        return self.past.rows[self.past.within(window, known_at=known_at)]

    @cached_property
    def past(self) -> Past:
        """All rows with a known outcome, read and joined once."""
        _, end = self.bounds
        rows = self._frames.rows(self.model, versions=self.versions, window=Window(start=None, end=end))
        return Past.of(self.model, rows.with_row_index(PLACE))

    @cached_property
    def _made(self) -> list[tuple[datetime, int]]:
        return [(one.created_at, one.version) for one in self._datasets.versions(self.model.data.name)]


def moments(begin: datetime, end: datetime, step: timedelta) -> Iterable[datetime]:
    """Yield the moments of a stretch at which a policy looks."""
    moment = begin + step
    while moment <= end:
        yield moment
        moment += step
