"""Every prediction that was given, one row for each instance, as one frame."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from treadle.core.errors import NotFound
from treadle.serving.frames import BEFORE, OUTCOMES, PREDICTIONS
from treadle.serving.held import Held, held
from treadle.serving.shipping import unshipped
from treadle.store.tables.tables import Tables


class Predictions:
    """The log of predictions: the tables, and what servers on this machine have not shipped yet.

    >>> predictions.scan("delay").filter(pl.col("version") == 3).collect()  # doctest: +SKIP
    """

    def __init__(self, tables: Tables, *, root: Path) -> None:
        self._tables, self._root = tables, root

    def endpoints(self) -> list[str]:
        """Return the endpoints that have a table of predictions, sorted."""
        names = (name.split("/", 1) for name in self._tables.names())
        return [name[1] for name in names if name[0] == "predictions" and len(name) == 2]

    def scan(self, endpoint: str) -> pl.LazyFrame:
        """Return the answers of an endpoint, with the columns of `frames.PREDICTIONS`; empty: there are none.

        A request that was sent twice with the same id is there once.
        """
        return self._all(endpoint).filter(~pl.col("shadow"))

    def find(self, prediction: str, endpoints: Iterable[str]) -> dict[str, Any] | None:
        """Return the row of one prediction, looked for in the logs of some endpoints; None: none has it.

        Ids sort by the moment at which they were made, so that of a log only the files are read that may have it.
        """
        for endpoint in endpoints:
            name = f"predictions/{endpoint}"
            local = unshipped(self._root, name)
            frames = [] if local is None else [local.lazy()]
            with suppress(NotFound):
                frames.insert(0, self._tables.scan(name))
            for frame in frames:
                with self._tables.reading(name):
                    found = frame.filter(pl.col("prediction_id") == prediction).head(1).collect()
                if found.height:
                    return {**dict.fromkeys(PREDICTIONS), **BEFORE, **found.row(0, named=True)}
        return None

    def shadows(self, endpoint: str) -> pl.LazyFrame:
        """Return what shadows would have answered; `request_id` and `row` are those of the answer."""
        return self._all(endpoint).filter("shadow")

    def held(self, endpoint: str) -> Held:
        """Return the log as it is now, answers and shadows, with the commit in which each row came."""
        return held(self._tables, self._root, f"predictions/{endpoint}", columns=PREDICTIONS, before=BEFORE)

    def _all(self, endpoint: str) -> pl.LazyFrame:
        found = _scan(self._tables, self._root, f"predictions/{endpoint}", PREDICTIONS, "prediction_id")
        return found.with_columns(pl.col(name).fill_null(value) for name, value in BEFORE.items())


class Outcomes:
    """The log of outcomes that were reported to servers."""

    def __init__(self, tables: Tables, *, root: Path) -> None:
        self._tables, self._root = tables, root

    def scan(self, endpoint: str) -> pl.LazyFrame:
        """Return the outcomes of an endpoint, with the columns of `frames.OUTCOMES`; empty: there are none."""
        return _scan(self._tables, self._root, f"outcomes/{endpoint}", OUTCOMES, "outcome_id")

    def held(self, endpoint: str) -> Held:
        """Return the log as it is now, with the commit in which each row came."""
        return held(self._tables, self._root, f"outcomes/{endpoint}", columns=OUTCOMES, before={})


def _scan(
    tables: Tables, root: Path, name: str, columns: dict[str, pl.DataType], identity: str
) -> pl.LazyFrame:
    local = unshipped(root, name)
    frames = [pl.LazyFrame(schema=columns), *([] if local is None else [local.lazy()])]
    with suppress(NotFound):
        frames.insert(1, tables.scan(name))
    # A table from before a column was added lacks it until the next segment is shipped.
    return pl.concat(frames, how="diagonal").select(*columns).unique(subset=identity, keep="first")
