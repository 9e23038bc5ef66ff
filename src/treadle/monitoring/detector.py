"""What a way to see that a column has changed (a detector plug-in) must be able to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec
import polars as pl

from treadle.monitoring.summaries import Column


@dataclass(frozen=True, kw_only=True)
class Case:
    """A column in the rows of the reference and in those of the window; or, for detectors of rows, both as frames."""

    #: The column's name; empty: all columns together.
    column: str
    before: Column | None = None
    now: Column | None = None
    #: Rows of the reference, and rows of the window: of detectors of rows only.
    sample: pl.DataFrame = field(default_factory=pl.DataFrame)
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a detector found."""

    #: The chance of a statistic at least as large where nothing has changed; valid at every number of rows.
    p: float
    #: How much has changed, as a share of rows (0 to 1), or in the unit that the detector's docstring names.
    effect: float
    #: What the effect is on average where nothing has changed, at this number of rows: its noise.
    floor: float
    #: One sentence: what was, and what is.
    text: str
    #: Which rows have changed: values of the column that are at least, at most, or among these; none: not of single values.
    moved: dict[str, Any] = {}


@runtime_checkable
class Detector(Protocol):
    """A way to see a change: class `Detector` of a plug-in module of kind `detector`, made without arguments."""

    @property
    def least(self) -> float:
        """The smallest effect that is worth a person's look, by default."""
        ...

    @property
    def of(self) -> str:
        """What it looks at: `column`, one after the other, by what is counted of it; or `rows`, all columns together."""
        ...

    def measure(self, case: Case) -> Measured | None:
        """Compare; None: this is not for such a column. Whether it is, the reference alone decides, and not the window."""
        ...
