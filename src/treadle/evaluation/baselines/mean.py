"""The baseline `Mean`: the mean of the target in training, for each value of some columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from treadle.core.records import Lookup
from treadle.core.signature import Field
from treadle.evaluation.lookups import (
    By,
    check_smoothing,
    columns_of,
    must_be_one_number,
    named,
    numbers_of,
    table_of,
)


@dataclass(frozen=True)
class Mean:
    """Predict the mean of training, of all rows or `by` the values of columns.

    The mean for a value is drawn towards that of all rows as if by `smoothing` rows more.

    >>> frame = pl.DataFrame({"carrier": ["UA", "UA", "AA"], "minutes": [3, 5, 10]})
    >>> Mean(by="carrier", smoothing=1).fit(frame, "minutes").values["AA"]
    8.0

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    by: By = None
    smoothing: float = 10.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        columns_of(self.by, where="Mean")
        check_smoothing(self.smoothing, where="Mean")

    @property
    def name(self) -> str:
        """What tells it from other baselines, as `mean_by_carrier`."""
        return named("mean", columns_of(self.by, where="Mean"))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        by = list(columns_of(self.by, where="Mean"))
        return {"baseline": "mean", "by": by, "smoothing": float(self.smoothing)}

    def fit(self, frame: pl.DataFrame, target: str | pl.Series, *, output: Field | None = None) -> Lookup:
        """Fit to training rows; `target` is a column, or a number for each row.

        Raises:
            InvalidInput: a column is missing, there are no rows, a target is no finite number, or several are asked for.
        """
        must_be_one_number(
            output, where="Mean", instead="Of classes, td.baselines.Prior is the share of each."
        )
        y = numbers_of(frame, target)
        by = columns_of(self.by, where="Mean")
        default = float(y.to_numpy().mean())
        return table_of(frame, y, name=self.name, by=by, default=default, smoothing=self.smoothing)
