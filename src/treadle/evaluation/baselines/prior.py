"""The baseline `Prior`: the share of each class in training, for each value of some columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup
from treadle.core.signature import Field
from treadle.evaluation.lookups import (
    By,
    check_smoothing,
    columns_of,
    named,
    numbers_of,
    rates_of,
    shares_of,
    table_of,
)


@dataclass(frozen=True)
class Prior:
    """Predict how often it was so in training, at all or `by` the values of columns.

    The share of all rows is (positive + 1) / (rows + 2), never quite 0 or 1, and of several classes (rows of it + 1) /
    (rows + classes), of each label as of one class; the share for a value is drawn towards it as if by `smoothing` rows more.

    >>> frame = pl.DataFrame({"carrier": ["UA", "UA", "AA"], "late": [True, True, False]})
    >>> Prior(by="carrier", smoothing=1).fit(frame, "late").values["AA"]
    0.3

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    by: By = None
    smoothing: float = 10.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        columns_of(self.by, where="Prior")
        check_smoothing(self.smoothing, where="Prior")

    @property
    def name(self) -> str:
        """What tells it from other baselines, as `prior_by_carrier`."""
        return named("prior", columns_of(self.by, where="Prior"))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        by = list(columns_of(self.by, where="Prior"))
        return {"baseline": "prior", "by": by, "smoothing": float(self.smoothing)}

    def fit(self, frame: pl.DataFrame, target: str | pl.Series, *, output: Field | None = None) -> Lookup:
        """Fit to training rows; `target` is a column, or a value for each row.

        A value is 0 or 1, a place among the classes, or 0 or 1 for each label.

        Raises:
            InvalidInput: a column is missing, there are no rows, or an outcome is no class.
        """
        by = columns_of(self.by, where="Prior")
        if output is not None and output.independent:
            return rates_of(
                frame, target, name=self.name, by=by, columns=output.columns, smoothing=self.smoothing
            )
        y = numbers_of(frame, target)
        if output is not None and output.columns:
            return shares_of(
                frame, y, name=self.name, by=by, columns=output.columns, smoothing=self.smoothing
            )
        if not y.is_in([0.0, 1.0]).all():
            msg = f"The target {y.name!r} holds other values than 0 and 1. Prior is for classification; td.baselines.Mean is for numbers."
            raise InvalidInput(msg, field=y.name)
        default = (float(y.sum()) + 1) / (len(y) + 2)
        return table_of(frame, y, name=self.name, by=by, default=default, smoothing=self.smoothing)
