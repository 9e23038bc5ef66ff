"""Reading a dataset's rows: by version, split, window, and what was known at a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidInput, closest
from treadle.core.records import DatasetVersion, Record, Window
from treadle.data.declarations import INGESTED_AT
from treadle.data.pins import Pin
from treadle.data.splits import SPLITS
from treadle.data.types import DTYPES
from treadle.store.tables.tables import Tables

#: Treadle's own columns of a row. `_outcome_at`: when its outcome became known.
SYSTEM = ("_bucket", "_split", "_version", "_ingested_at", "_file", "_row")


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


def scan(tables: Tables, version: DatasetVersion, *, pin: Pin, selection: Selection) -> pl.LazyFrame:
    """Return the selected rows in the order in which they landed.

    Raises:
        InvalidInput: the dataset has no such column, split, time or outcome.
    """
    rows = tables.scan(f"{version.dataset}/rows", version=version.table_version)
    rows = _sided(rows, pin, selection.split)
    rows = _within(rows, pin, selection.window)
    if _asks_for_outcomes(pin, selection):
        rows = _joined(rows, _outcomes(tables, version, pin=pin, known_at=selection.known_at), pin)
    rows = _known(rows, pin, wanted=selection.outcome)
    everything = [name for name, _ in version.schema] + _added(pin) + list(SYSTEM)
    if pin.outcome_columns:
        everything.append("_outcome_at")
    columns = list(selection.columns) if selection.columns is not None else everything
    for name in columns:
        if name not in everything:
            msg = f"Dataset {pin.name!r} has no column {name!r}. {closest(name, everything)}"
            raise InvalidInput(msg, field=name)
    return rows.sort("_version", "_file", "_row").select(columns)


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
        if name not in SPLITS:
            msg = f"No split named {name!r}. {closest(name, SPLITS)}"
            raise InvalidInput(msg, field="split")
    return rows.filter(pl.col("_split").is_in(wanted))


def _within(rows: pl.LazyFrame, pin: Pin, window: Window | None) -> pl.LazyFrame:
    if window is None:
        return rows
    time = pl.col(pin.time or INGESTED_AT)
    rows = rows.filter(time < utc(window.end))
    return rows if window.start is None else rows.filter(time >= utc(window.start))


def _outcomes(
    tables: Tables, version: DatasetVersion, *, pin: Pin, known_at: datetime | None
) -> pl.LazyFrame | None:
    """Return key, outcome and `_outcome_at` of what was known; None where there is nothing yet."""
    if version.outcome_table_version is None:
        return None
    later = tables.scan(f"{version.dataset}/outcomes", version=version.outcome_table_version)
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
