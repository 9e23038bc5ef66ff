"""The baseline `Column`: what an input column says, as today's value for tomorrow's, or popularity for a ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.core.records import Lookup
from treadle.core.signature import Field
from treadle.evaluation.lookups import must_be_one_number


@dataclass(frozen=True)
class Column:
    """Predict the number that a column holds; where it holds none, the mean of the column in training.

    `least_first` turns its sign, for a ranking in which little is good, as a price or a distance.

    >>> Column("price", least_first=True).name
    'column_price_least_first'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    column: str
    least_first: bool = False

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.column
        if not isinstance(given, str) or not given:
            msg = f"Column({given!r}): expected the name of a column of numbers."
            raise InvalidDeclaration(msg, field="column")

    @property
    def name(self) -> str:
        """What tells it from other baselines, as `column_popularity`."""
        return f"column_{self.column}{'_least_first' if self.least_first else ''}"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"baseline": "column", "column": self.column, "least_first": self.least_first}

    def fit(
        self,
        frame: pl.DataFrame,
        target: str | pl.Series,  # noqa: ARG002 - what happened is not asked for
        *,
        output: Field | None = None,
    ) -> Lookup:
        """Return the lookup; of the rows, the mean of the column is learnt.

        Raises:
            InvalidInput: there is no such column, it holds no numbers, or several numbers are asked for.
        """
        must_be_one_number(
            output, where="Column", instead="It is for one number, as of td.Regression or td.Ranking."
        )
        if self.column not in frame.columns:
            msg = f"There is no column {self.column!r} to predict by. {closest(self.column, frame.columns)}"
            raise InvalidInput(msg, field=self.column)
        held = frame[self.column]
        if not (held.dtype.is_numeric() or held.dtype == pl.Boolean):
            msg = f"The column {self.column!r} is {held.dtype}. Expected numbers."
            raise InvalidInput(msg, field=self.column)
        sign = -1.0 if self.least_first else 1.0
        values = held.cast(pl.Float64)
        mean = values.filter(values.is_finite()).mean()
        default = sign * float(mean) if isinstance(mean, float) else 0.0
        return Lookup(name=self.name, by=(self.column,), default=default, scale=sign)
