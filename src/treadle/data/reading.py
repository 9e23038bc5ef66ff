"""Reading a dataset's rows: by version, split, window, and what was known at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidInput, closest
from treadle.core.records import DatasetVersion, Record, Window
from treadle.data.declarations import INGESTED_AT
from treadle.data.history import forms, is_live
from treadle.data.pins import Pin
from treadle.data.splits import EMBARGO, SPLITS
from treadle.data.types import DTYPES
from treadle.store.tables.tables import Tables

#: Treadle's own columns of a row. `_outcome_at`: when its outcome became known.
SYSTEM = ("_bucket", "_split", "_seq", "_version", "_ingested_at", "_file", "_row")
#: Stretches of rows that are moved as a whole; with more of them, rows are sorted.
_MOST_STRETCHES = 10_000
#: The number of a row in the order in which they landed.
ORDER = "_seq"


class Selection(Record, frozen=True, kw_only=True):
    """Which rows and columns of a dataset version are wanted."""

    #: One part or several; None: all rows.
    split: str | tuple[str, ...] | None = None
    #: Stretch of event time, or of the moments of ingestion where the dataset has no time; None: all.
    window: Window | None = None
    #: Columns, in this order; None: all, and Treadle's own.
    columns: tuple[str, ...] | None = None
    #: True: rows whose outcome is known; False: the others; None: all.
    outcome: bool | None = None
    #: Only outcomes that had arrived by then are known; None: all of the version.
    known_at: datetime | None = None


def scan(
    tables: Tables, version: DatasetVersion, *, newest: DatasetVersion, pin: Pin, selection: Selection
) -> pl.LazyFrame:
    """Return the selected rows in the order in which they landed; `newest` is the newest version of the dataset.

    Raises:
        InvalidInput: the dataset has no such column, split, time or outcome.
    """
    rows, columns = _selected(tables, version, newest=newest, pin=pin, selection=selection)
    return rows.sort(ORDER).select(columns)


def read(
    tables: Tables, version: DatasetVersion, *, newest: DatasetVersion, pin: Pin, selection: Selection
) -> pl.DataFrame:
    """Return the rows of `scan`; whole stretches that are in order are moved instead of sorting row by row.

    Raises:
        InvalidInput: the dataset has no such column, split, time or outcome.
    """
    rows, columns = _selected(tables, version, newest=newest, pin=pin, selection=selection)
    with tables.reading(f"{version.dataset}/rows"):
        frame = rows.select(*columns, *([] if ORDER in columns else [ORDER])).collect()
    return in_order(frame).select(columns)


def unordered(
    tables: Tables, version: DatasetVersion, *, newest: DatasetVersion, pin: Pin, selection: Selection
) -> pl.LazyFrame:
    """Return the rows of `scan` in no order: what only counts them need not hold them all to sort them.

    Raises:
        InvalidInput: the dataset has no such column, split, time or outcome.
    """
    rows, columns = _selected(tables, version, newest=newest, pin=pin, selection=selection)
    return rows.select(columns)


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the order of `_seq`."""
    order = frame[ORDER].to_numpy()
    cuts = np.flatnonzero(order[1:] < order[:-1]) + 1
    if not len(cuts):
        return frame
    first, last = np.append(0, cuts), np.append(cuts, len(order))
    by_start = np.argsort(order[first])
    starts, ends = order[first[by_start]], order[last[by_start] - 1]
    if len(cuts) > _MOST_STRETCHES or (starts[1:] < ends[:-1]).any():
        return frame.sort(ORDER)
    return pl.concat([frame[first[i] : last[i]] for i in by_start], rechunk=False)


def _selected(
    tables: Tables, version: DatasetVersion, *, newest: DatasetVersion, pin: Pin, selection: Selection
) -> tuple[pl.LazyFrame, list[str]]:
    """Return the selected rows in no order, and the columns that are wanted of them.

    Raises:
        InvalidInput: the dataset has no such column, split, time or outcome.
    """
    rows = _live(_rows(tables, version, newest), pin)
    rows = _sided(rows, pin, selection.split)
    rows = _within(rows, pin, selection.window)
    if _asks_for_outcomes(pin, selection):
        later = forms(tables, "outcomes", version=version, newest=newest)
        rows = _joined(rows, _outcomes(later, pin=pin, known_at=selection.known_at), pin)
    rows = _known(rows, pin, wanted=selection.outcome)
    everything = [name for name, _ in version.schema] + _added(pin) + list(SYSTEM)
    if pin.outcome_columns:
        everything.append("_outcome_at")
    columns = list(selection.columns) if selection.columns is not None else everything
    for name in columns:
        if name not in everything:
            msg = f"Dataset {pin.name!r} has no column {name!r}. {closest(name, everything)}"
            raise InvalidInput(msg, field=name)
    return rows, columns


def _asks_for_outcomes(pin: Pin, selection: Selection) -> bool:
    """Say whether outcomes that are kept apart have to be joined."""
    if not pin.outcome_columns:
        return False
    if selection.columns is None or selection.outcome is not None:
        return True
    return not {*_added(pin), "_outcome_at"}.isdisjoint(selection.columns)


def _sided(rows: pl.LazyFrame, pin: Pin, split: str | Sequence[str] | None) -> pl.LazyFrame:
    if split is None:
        return rows
    wanted = [split] if isinstance(split, str) else list(split)
    if pin.split is None:
        msg = f"Dataset {pin.name!r} has no split, so there is no {wanted[0]!r}. Declare one, as split=td.HashSplit()."
        raise InvalidInput(msg, field="split")
    for name in wanted:
        if name not in (*SPLITS, EMBARGO):
            msg = f"No split named {name!r}. {closest(name, SPLITS)}"
            raise InvalidInput(msg, field="split")
    return rows.filter(pl.col("_split").is_in(wanted))


def _within(rows: pl.LazyFrame, pin: Pin, window: Window | None) -> pl.LazyFrame:
    if window is None:
        return rows
    time = pl.col(pin.time or INGESTED_AT)
    rows = rows.filter(time < utc(window.end))
    return rows if window.start is None else rows.filter(time >= utc(window.start))


def _rows(tables: Tables, version: DatasetVersion, newest: DatasetVersion) -> pl.LazyFrame:
    rows = forms(tables, "rows", version=version, newest=newest)
    assert rows is not None
    return rows


def _live(rows: pl.LazyFrame, pin: Pin) -> pl.LazyFrame:
    """Leave out the rows whose current form says that they are gone."""
    if pin.deleted is None or pin.deleted not in pin.columns.get(f"{pin.name}/rows", ()):
        return rows
    return rows.filter(is_live(pin.deleted, pin.contracts["rows"].dtypes[pin.deleted]))


def _outcomes(later: pl.LazyFrame | None, *, pin: Pin, known_at: datetime | None) -> pl.LazyFrame | None:
    """Return key, outcome and `_outcome_at` of what was known; None where there is nothing yet."""
    if later is None:
        return None
    known = later.with_columns(pl.col(pin.arrived or "_ingested_at").alias("_outcome_at"))
    if known_at is not None:
        known = known.filter(pl.col("_outcome_at") <= utc(known_at))
    return known.select(*pin.key, *_added(pin), "_outcome_at")


def _joined(rows: pl.LazyFrame, outcomes: pl.LazyFrame | None, pin: Pin) -> pl.LazyFrame:
    if outcomes is not None:
        return rows.join(outcomes, on=list(pin.key), how="left")
    spec = pin.contracts.get("outcomes")
    dtypes = {**(spec.dtypes if spec else {}), "_outcome_at": DTYPES["datetime"]}
    return rows.with_columns(
        pl.lit(None, dtype=dtypes.get(name, pl.Null())).alias(name) for name in [*_added(pin), "_outcome_at"]
    )


def _known(rows: pl.LazyFrame, pin: Pin, *, wanted: bool | None) -> pl.LazyFrame:
    if wanted is None:
        return rows
    columns = pin.outcome_columns or ((pin.outcome,) if pin.outcome else ())
    if not columns:
        msg = f"Dataset {pin.name!r} has no outcome. Declare outcome='column', or outcomes=td.Outcomes(...)."
        raise InvalidInput(msg, field="outcome")
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in columns)
    return rows.filter(known if wanted else ~known)


def _added(pin: Pin) -> list[str]:
    """Return the columns that the outcomes add to a row."""
    return list(dict.fromkeys([*pin.outcome_columns, *([pin.arrived] if pin.arrived else [])]))
