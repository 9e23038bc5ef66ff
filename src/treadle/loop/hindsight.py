"""What the answers of a replay cost, row by row, once all outcomes are known: computed where it is asked for, and once."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.evaluation.own import measure_of
from treadle.loop.contenders import Contender
from treadle.loop.history import History
from treadle.loop.judging import compared
from treadle.store.ledger.tables import micros
from treadle.training.tasks.forecast import Forecast

#: Rows that are answered at once.
_BLOCK = 8192


class Hindsight:
    """The rows of a history in order of time, with the loss of whoever is asked about them; larger is worse."""

    def __init__(self, history: History) -> None:
        """Take a history.

        Raises:
            InvalidInput: the metric that decides is no mean over rows, so policies cannot be compared row by row.
        """
        model, self._history = history.model, history
        self._measure = measure_of(model.task.metric, model.task).over(history.columns)
        if self._measure.per_row is None or model.task.ties or isinstance(model.task, Forecast):
            msg = (
                f"Policies are compared row by row, and {model.task.metric} of a {model.task.name} is no mean over rows. "
                f"Replay one policy at a time: treadle replay {model.name}"
            )
            raise InvalidInput(msg, field="metric")
        past = history.past
        order = np.argsort(past.time, kind="stable")
        self.rows = past.rows[order]
        #: Of each row, in microseconds: its time, and when its outcome became known.
        self.time, self.arrived = past.time[order], past.arrived[order]
        self._losses: dict[str, np.ndarray] = {}

    def span(self, start: datetime, end: datetime) -> tuple[int, int]:
        """Return the places of the rows with `start <= time < end`."""
        low, high = np.searchsorted(self.time, [micros(start), micros(end)], side="left")
        return int(low), int(high)

    def losses(self, key: str, who: Contender, low: int, high: int) -> np.ndarray:
        """Return the loss of somebody, known by a key, on the rows from one place to another."""
        found = self._losses.setdefault(key, np.full(len(self.time), np.nan))
        for begin in range(low // _BLOCK * _BLOCK, high, _BLOCK):
            first, last = max(begin, low), min(begin + _BLOCK, high)
            missing = np.flatnonzero(np.isnan(found[first:last]))
            if len(missing):
                a, b = first + int(missing[0]), first + int(missing[-1]) + 1
                found[a:b] = self._asked(self.rows[a:b], who)
        return found[low:high]

    def of_rows(self, rows: pl.DataFrame, who: Contender) -> np.ndarray:
        """Return the loss of somebody on any rows."""
        return self._asked(rows, who)

    def _asked(self, rows: pl.DataFrame, who: Contender) -> np.ndarray:
        history = self._history
        tested, said = compared(
            history.model, rows, {"one": who}, version=history.version, columns=history.columns
        )
        per_row = self._measure.per_row
        assert per_row is not None
        found = np.asarray(per_row(tested.y, said["one"]), dtype=np.float64)
        return -found if self._measure.greater_is_better else found
